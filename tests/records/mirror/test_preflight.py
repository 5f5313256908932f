"""A tracking store that cannot be used is said in one line, before the first trial."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.split_record import SPLIT_FILE, write_split
from testing.features import write_cuts
from testing.split import split_record
from tests.records.mirror.web_server import WebServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture
def search(tmp_path):
    """Runs the stage `search@scratch` on a tracking store, with all else in order."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    write_cuts(tmp_path / "data/features/none")
    write_split(split_record(), tmp_path / SPLIT_FILE)

    def search(uri):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "search", "scratch"],
            cwd=tmp_path,
            env={**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        with sqlite3.connect(tmp_path / "mlruns/optuna.db") as connection:
            (num_studies,) = connection.execute("select count(*) from studies").fetchone()
        # Nothing has become the current study, or put the one that was aside.
        assert num_studies == 0
        assert "Traceback" not in done.stderr
        told = [line for line in done.stderr.splitlines() if line.startswith("search: ")]
        return done.returncode, told

    return search


def test_a_wrong_address(search):
    code, (line,) = search("mlflow-tracking:5000")
    assert code == 2
    assert "MLFLOW_TRACKING_URI must start with" in line


def test_a_dead_server(search):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code, (line,) = search(f"http://127.0.0.1:{port}")
    assert code == 2
    assert "does not answer" in line
    assert "refused" in line


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials(search, status):
    with WebServer(status, b"who are you?") as server:
        code, (line,) = search(server.uri.replace("http://", "http://ann:secret@"))
    assert code == 2
    assert str(status) in line
    assert "user name and password" in line
    assert "secret" not in line
