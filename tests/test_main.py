"""What the command line sets up before anything runs."""

import json
import os
import subprocess
import sys

import pytest

from pipeline.__main__ import PRIVACY
from tests.conftest import ROOT

CODE = (
    "import json, os, sys; from pipeline.__main__ import main; code = main(['check'])\n"
    "print(json.dumps({'code': code, **os.environ}))"
)


@pytest.mark.parametrize("given", [{}, {"DVC_NO_ANALYTICS": "0"}])
def test_nobody_is_told_of_what_runs_here_unless_the_user_says_so(given):
    kept = {name: value for name, value in os.environ.items() if name not in PRIVACY}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env={**kept, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    expected = {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1", "code": 0}
    assert {**expected, **given}.items() <= found.items()
