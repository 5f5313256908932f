"""A real store is killed, hangs or loses answers, and nothing is lost or doubled."""

import logging
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.records.mirror import outage
from pipeline.records.mirror.store import open_store
from pipeline.records.mirror.thread import Mirror
from pipeline.training.messages import EpochRecord
from testing.tracking_server import TrackingServer
from tests.records.mirror.lossy_proxy import LossyProxy

pytestmark = pytest.mark.slow

ROOT = str(Path(__file__).parents[3])
UIDS = ("0123456789ab-0000", "0123456789ab-0001")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with TrackingServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(autouse=True)
def _use(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)


@pytest.fixture
def open_runs(open_runs, request):
    """As in a study of this test's own, since the server is everybody's."""
    study_uid = f"{abs(hash(request.node.name)):064x}"
    return lambda: open_runs(study_uid=study_uid)


def start(recorder, uid, at_ms=1000):
    recorder.start_trial(uid, number=0, hyperparameters={"units": 64}, tags={}, at_ms=at_ms)


def log(recorder, uid, number):
    metrics = {"val_accuracy": number / 1000, "loss": 1.0}
    recorder.log_epoch(uid, EpochRecord(epoch=number, metrics=metrics), at_ms=2000 + number)


def end(recorder, uid):
    told = {"value": 0.5, "metrics": {"val_accuracy": 0.5, "num_epochs": 1.0}, "tags": {}}
    recorder.end_trial(uid, "COMPLETE", traceback="boom", at_ms=9000, **told)


def is_exact(runs, uid, num_epochs):
    """Whether a run has every point of a training once, at its own time, and nothing else."""
    (run,) = runs.runs_of(uid)
    client = runs.store.client
    points = [(n, n / 1000, 2000 + n) for n in range(num_epochs)]
    found = client.get_metric_history(run.info.run_id, "val_accuracy")
    assert [(p.step, p.value, p.timestamp) for p in found] == points
    assert len(client.get_metric_history(run.info.run_id, "loss")) == num_epochs
    for name in ("value", "best_val_accuracy", "num_epochs"):
        assert len(client.get_metric_history(run.info.run_id, name)) == 1
    names = {"val_accuracy", "loss", "value", "best_val_accuracy", "num_epochs"}
    assert set(run.data.metrics) == names
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 1000, 9000)
    return True


@pytest.mark.alone
def test_a_server_that_is_killed_and_comes_back_has_everything(server, open_runs, caplog):
    caplog.set_level(logging.INFO)
    runs, longest = open_runs(), 0.0
    with Mirror(runs) as recorder:
        for uid in UIDS:
            start(recorder, uid)
        for number in range(80):
            if number == 20:
                server.kill()
            elif number == 60:
                server.start()
            for uid in UIDS:
                begin = time.monotonic()
                log(recorder, uid, number)
                longest = max(longest, time.monotonic() - begin)
            time.sleep(0.05)
        for uid in UIDS:
            end(recorder, uid)
    assert all(is_exact(runs, uid, 80) for uid in UIDS)
    # The server is away for 2 s and takes some more to start.
    assert longest < 1.0
    told = [r.getMessage() for r in caplog.records if r.name == "pipeline.records.mirror.outage"]
    assert len(told) == 2, told
    assert "is lost: Connection refused" in told[0]
    assert "is back after" in told[1]


def test_a_database_that_stops_at_once_and_comes_back_has_everything(
    postgres, database, open_runs, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    runs = open_runs()
    with Mirror(runs) as recorder:
        start(recorder, UIDS[0])
        for number in range(60):
            if number == 20:
                postgres.stop("immediate")
            elif number == 50:
                postgres.start()
            log(recorder, UIDS[0], number)
            time.sleep(0.05)
        end(recorder, UIDS[0])
    assert is_exact(runs, UIDS[0], 60)
    assert [r.levelname for r in caplog.records if r.levelno > logging.INFO] == ["WARNING"]


def test_requests_and_answers_that_are_lost_at_random_lose_and_double_nothing(
    server, open_runs, monkeypatch
):
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(outage, "LONGEST_PAUSE_SECONDS", 0.05)
    runs = open_runs()
    with LossyProxy(server.uri, seed=1, loss=0.2) as proxy:
        # The same runs, through the proxy.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        lossy = type(runs)(open_store(runs.store.root), runs.parent)
        with Mirror(lossy) as recorder:
            for uid in UIDS:
                start(recorder, uid)
            for number in range(30):
                for uid in UIDS:
                    log(recorder, uid, number)
            for uid in UIDS:
                end(recorder, uid)
        assert proxy.num_lost > 20
    assert all(is_exact(runs, uid, 30) for uid in UIDS)


def test_an_interrupt_ends_within_seconds_while_the_server_hangs(server, open_runs):
    runs = open_runs()

    def search():
        with runs, Mirror(runs) as recorder:
            start(recorder, UIDS[0])
            while recorder.num_waiting:
                time.sleep(0.01)
            server.signal(signal.SIGSTOP)
            log(recorder, UIDS[0], 0)
            time.sleep(0.2)
            raise KeyboardInterrupt

    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            search()
        # Without an interrupt it waits for an answer for 60 s.
        assert time.monotonic() - begin < 30
    finally:
        server.signal(signal.SIGCONT)
    for thread in threading.enumerate():
        if thread.name == "mirror":
            thread.join(60)


KILLED = """
    import os, pathlib, signal, sys, time
    sys.path.insert(0, sys.argv[1])
    from pipeline.records.mirror.runs import StudyRuns
    from pipeline.records.mirror.thread import Mirror
    from tests.records.mirror.test_thread_server import UIDS, end, log, start

    runs = StudyRuns.open(
        pathlib.Path.cwd(), dataset="digits", study="transfer", study_name="digits-transfer",
        study_uid=sys.argv[2], tags={"objective": "val_accuracy"}, params={},
    )
    with Mirror(runs) as recorder:
        start(recorder, UIDS[0])
        for number in range(10):
            log(recorder, UIDS[0], number)
        while recorder.num_waiting:
            time.sleep(0.01)
        print("kill the server", flush=True)
        input()
        for number in range(10, 30):
            log(recorder, UIDS[0], number)
        end(recorder, UIDS[0])
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_search_could_not_send_is_written_from_the_study(
    server, open_runs, root, trial
):
    runs = open_runs()
    study_uid = runs.parent.run.data.tags["study_uid"]
    killed = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), ROOT, study_uid],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout.readline().strip() == "kill the server"
    server.kill()
    killed.communicate("now\n", timeout=60)
    assert killed.returncode == -signal.SIGKILL
    server.start()
    server.wait()
    epochs = [
        {"epoch": n, "metrics": {"val_accuracy": n / 1000, "loss": 1.0}, "at_ms": 2000 + n}
        for n in range(30)
    ]
    attributes = {"trial_uid": UIDS[0], "epochs": epochs, "traceback": "boom"}
    study = [
        trial(
            values=[n / 1000 for n in range(30)],
            value=0.5,
            hyperparameters={"units": 64},
            attributes={**attributes, "metrics": {"val_accuracy": 0.5, "num_epochs": 1.0}},
            ended=datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC),
        )
    ]
    runs.reconcile(study)
    assert is_exact(runs, UIDS[0], 30)
    assert runs.reconcile(study, is_thorough=True) == []
