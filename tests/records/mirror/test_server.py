"""The whole life of a study on a real tracking server, which has limits that a database has not."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.classifier import load_classifier
from pipeline.training.messages import EpochRecord
from testing.registering import register
from tests.conftest import STUDY_UID

pytestmark = [pytest.mark.keras, pytest.mark.slow]

START_SECONDS = 120


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A tracking server on a free port of the loopback address, with a store of its own."""
    folder = tmp_path / "server"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_healthy(port, process)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        yield folder
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_healthy(port, process):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    pytest.fail("the server did not start")


def test_a_study_and_its_model_live_on_the_server(
    root, server, open_runs, candidate, trial, capsys
):
    one = trial()
    uid = one.uid(study_uid=STUDY_UID)
    with open_runs(**{f"search.p{index}": index for index in range(150)}) as runs:
        runs.start_trial(uid, number=0, hyperparameters=one.hyperparameters, tags={})
        for epoch, value in enumerate((0.5, 0.75)):
            runs.log_epoch(uid, EpochRecord(epoch=epoch, metrics={"val_accuracy": value}))
        ended = {"metrics": {}, "tags": {}, "traceback": None}
        runs.end_trial(uid, "COMPLETE", value=0.75, **ended)
        failed = trial(1, "FAIL", traceback="boom")
        assert [d.kind for d in runs.reconcile([one, failed])] == ["missing"]
        assert runs.reconcile([one, failed]) == []
    done = register(open_store(root), candidate())
    assert (done.version, done.champion) == ("1", True)
    classifier = load_classifier(root, "models:/digits-classifier@champion")
    assert classifier.class_names == ["zero", "one", "two"]
    assert list((server / "mlartifacts").rglob("model.keras"))
    assert not (root / "mlruns/artifacts").exists()
    assert "View run" not in capsys.readouterr().out
