"""What the command line sets up before anything runs."""

import argparse
import importlib
import json
import os
import subprocess
import sys

import pytest

from pipeline.__main__ import COMMANDS, PRIVACY, main
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


@pytest.mark.parametrize(
    "name", ["what?", "a%20b", "100%2F", "\udcff", "x" * 250 + "/" + "y" * 250]
)
@pytest.mark.parametrize("command", [["check"], ["status"], ["predict", "x.png"], ["search", "x"]])
def test_a_checkout_that_no_store_can_hold_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, capsys, name, command
):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{command[0]}: The path of a checkout or of a database must have no ?")
    assert told.count("\n") == 1
    assert not list(folder.iterdir())
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_no_argument_of_a_command_hides_which_command_it_is(command):
    parser = argparse.ArgumentParser()
    importlib.import_module(f"pipeline.commands.{command}").add_arguments(parser)
    assert "name" not in {action.dest for action in parser._actions}
