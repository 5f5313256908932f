"""Training never waits for the store, and the store gets everything once, with its own times."""

import logging
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import pytest

from pipeline.errors import StudyError
from pipeline.records.mirror import outage, thread
from pipeline.records.mirror.outage import RETRIES, TIMEOUT, store_errors
from pipeline.records.mirror.thread import Mirror
from pipeline.training.messages import EpochRecord
from tests.records.mirror.web_server import WebServer

UID = "0123456789ab-0000"


class Switch:
    """The runs of a study in a store that can be switched off; off, it fails as a server does.

    Attributes:
        server: Answers in place of the store while it is there.
        num_calls: How often anything was asked of it.
    """

    def __init__(self, runs):
        self._runs = runs
        self.server = None
        self.num_calls = 0

    def __getattr__(self, name):
        return getattr(self._runs, name)

    def _do(self, name, *args, **kwargs):
        self.num_calls += 1
        if self.server is None:
            getattr(self._runs, name)(*args, **kwargs)
        else:
            ask(self.server)

    def start_trial(self, *args, **kwargs):
        self._do("start_trial", *args, **kwargs)

    def log_epoch(self, *args, **kwargs):
        self._do("log_epoch", *args, **kwargs)

    def end_trial(self, *args, **kwargs):
        self._do("end_trial", *args, **kwargs)


def ask(server):
    """Fails as MLflow's client does."""
    from mlflow import MlflowClient

    MlflowClient(server.uri).get_run("a" * 32)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(outage, "LONGEST_PAUSE_SECONDS", 0.05)


@pytest.fixture
def runs(open_runs):
    return Switch(open_runs())


@pytest.fixture
def broken():
    """A server that says 503."""
    with WebServer(503) as server:
        yield server


def fill(runs, *steps, **options):
    """Does some steps with a mirror, as the body of a stage does."""
    with Mirror(runs, **options) as recorder:
        for step in steps:
            step(recorder)


def raising(error):
    def step(recorder):
        raise error

    return step


def epoch(number, **metrics):
    return EpochRecord(epoch=number, metrics=metrics or {"val_accuracy": number / 100})


def start(recorder, uid=UID, **changes):
    told = {"number": 0, "hyperparameters": {"units": 64}, "tags": {}, **changes}
    recorder.start_trial(uid, **told)


def end(recorder, uid=UID, state="COMPLETE", **changes):
    told = {"value": 0.5, "metrics": {}, "tags": {}, "traceback": None, **changes}
    recorder.end_trial(uid, state, **told)


def only(runs, uid=UID):
    (run,) = runs.runs_of(uid)
    return run


def history(runs, uid=UID, metric="val_accuracy"):
    points = runs.store.client.get_metric_history(only(runs, uid).info.run_id, metric)
    return [(point.step, point.timestamp) for point in points]


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.parametrize("is_for_good", [False, True], ids=["in the trash", "removed"])
def test_a_run_that_a_user_deletes_stops_neither_this_search_nor_the_next(
    open_runs, caplog, is_for_good
):
    runs, database = open_runs(), open_runs().store.client._tracking_client.store
    with Mirror(runs) as recorder:
        start(recorder)
        wait_for(lambda: not recorder.num_waiting)
        run_id = only(runs).info.run_id
        runs.store.client.delete_run(run_id)
        if is_for_good:
            database._hard_delete_run(run_id)
        for number in range(3):
            recorder.log_epoch(UID, epoch(number))
        end(recorder)
        start(recorder, "another", at_ms=5000)
        end(recorder, "another")
    assert caplog.text.count(f"records of trial {UID} are left out") == 1
    assert only(runs, "another").info.status == "FINISHED"
    assert runs.runs_of(UID) == []


def test_a_study_that_a_user_deletes_is_said_in_one_line(open_runs):
    runs = open_runs()
    with pytest.raises(StudyError, match=r"^No run of a study must be deleted .*dvc repro"), runs:
        runs.store.client.delete_run(runs.run_id)


def test_a_training_arrives_as_if_it_had_been_written_directly(runs, open_runs):
    hyperparameters = {"units": 64, "rate": 0.1, "flag": True}
    metrics = {"val_accuracy": 0.5, "best_epoch": 1}
    with Mirror(runs) as recorder:
        for uid, target in (("a", recorder), ("b", None)):
            target = target or open_runs()
            start(target, uid, hyperparameters=hyperparameters, tags={"seed": "3"}, at_ms=1000)
            target.log_epoch(uid, epoch(0, val_accuracy=0.5, loss=math.nan), at_ms=2000)
            target.log_epoch(uid, epoch(1, val_accuracy=0.4, loss=math.inf), at_ms=3000)
            end(target, uid, metrics=metrics, tags={"outcome": "complete"}, at_ms=4000)

    def facts(uid):
        run = only(runs, uid)
        tags = {**run.data.tags, "trial_uid": ""}
        times = (run.info.status, run.info.start_time, run.info.end_time)
        return (times, run.data.params, sorted(run.data.metrics), tags, history(runs, uid))

    assert facts("a") == facts("b")
    assert "loss" not in only(runs, "a").data.metrics


def test_a_record_has_the_time_at_which_it_was_told(runs, broken):
    runs.server = broken
    with Mirror(runs) as recorder:
        before = int(time.time() * 1000)
        start(recorder)
        recorder.log_epoch(UID, epoch(0))
        end(recorder)
        after = int(time.time() * 1000)
        time.sleep(0.3)
        runs.server = None
    info, ((_, logged),) = only(runs).info, history(runs)
    assert before <= info.start_time <= logged <= info.end_time <= after


@pytest.mark.alone
def test_no_call_waits_for_a_store_that_is_away(runs, broken):
    runs.server = broken
    with Mirror(runs) as recorder:
        start(recorder)
        longest = 0.0
        for number in range(300):
            begin = time.monotonic()
            recorder.log_epoch(UID, epoch(number), at_ms=number)
            longest = max(longest, time.monotonic() - begin)
            time.sleep(0.001)
        assert runs.num_calls > 1
        runs.server = None
    # The store is asked in vain for as long as this takes.
    assert longest < 1.0
    assert history(runs) == [(number, number) for number in range(300)]


def test_a_store_that_goes_and_comes_gets_everything_once(runs, broken):
    told = {}
    with Mirror(runs) as recorder:
        for uid in ("a", "b"):
            start(recorder, uid)
        for number in range(60):
            runs.server = broken if number % 20 > 9 else None
            for uid in ("a", "b"):
                told[uid, number] = 1000 + number
                recorder.log_epoch(uid, epoch(number), at_ms=told[uid, number])
            time.sleep(0.005)
        runs.server = None
        for uid in ("a", "b"):
            end(recorder, uid)
    for uid in ("a", "b"):
        assert history(runs, uid) == [(n, told[uid, n]) for n in range(60)]
        assert only(runs, uid).info.status == "FINISHED"


def lose_answers(client, monkeypatch, server):
    """Lets the client do what it is asked, and lose the answer the first three times."""
    losses = Counter()

    def lossy(original):
        def ask_lossily(*args, **kwargs):
            answer = original(*args, **kwargs)
            losses[asked := f"{original.__name__} {args} {kwargs}"] += 1
            if losses[asked] <= 3:
                ask(server)
            return answer

        return ask_lossily

    for name in ("create_run", "log_batch", "log_text", "set_terminated"):
        monkeypatch.setattr(client, name, lossy(getattr(client, name)))
    return losses


def test_answers_that_are_lost_double_nothing(open_runs, broken, monkeypatch):
    runs = open_runs()
    losses = lose_answers(runs.store.client, monkeypatch, broken)
    with Mirror(runs) as recorder:
        start(recorder, at_ms=1)
        for number in range(5):
            recorder.log_epoch(UID, epoch(number, val_accuracy=0.5, loss=1.0), at_ms=number)
        end(recorder, metrics={"val_accuracy": 0.1, "num_epochs": 5.0}, traceback="boom", at_ms=9)
    # The run is found after its creation was done once; an end is done again from its beginning.
    counts = Counter(asked.partition(" ")[0] for asked in losses.elements())
    assert counts == {"create_run": 1, "log_batch": 31, "log_text": 10, "set_terminated": 4}
    assert len(history(runs)) == 5
    assert only(runs).data.params == {"units": "64"}
    assert sorted(only(runs).data.metrics) == [
        *("best_val_accuracy", "loss", "num_epochs", "val_accuracy", "value"),
    ]


def test_a_run_that_a_slow_server_makes_late_goes_to_the_trash(open_runs, monkeypatch):
    runs = open_runs()
    monkeypatch.setattr(type(runs.store), "is_server", True)
    start(runs, at_ms=1000)
    mine = only(runs)
    runs.store.client.create_run(runs.parent.experiment, start_time=1000, tags=dict(mine.data.tags))
    runs.log_epoch(UID, epoch(0), at_ms=2000)
    end(runs)
    assert only(runs).info.run_id == mine.info.run_id


def said(caplog):
    return [r.getMessage() for r in caplog.records if r.name.startswith("pipeline.records.mirror")]


def test_an_outage_is_said_once_when_it_begins_and_once_when_it_ends(
    runs, broken, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    # Else a busy machine may say that it is still sending.
    monkeypatch.setattr(thread, "SILENT_SECONDS", 600)
    with Mirror(runs) as recorder:
        start(recorder)
        wait_for(lambda: recorder.num_waiting == 0)
        runs.server = broken
        for number in range(20):
            recorder.log_epoch(UID, epoch(number))
        wait_for(lambda: broken.num_requests > 5)
        runs.server = None
    lost, back = said(caplog)
    assert "is lost: HTTP 503; training goes on" in lost
    assert "is back after" in back
    assert "20 records had waited" in back


def test_one_failure_alone_is_not_worth_a_line(runs, broken, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.3)
    monkeypatch.setattr(outage, "LONGEST_PAUSE_SECONDS", 0.3)
    runs.server = broken
    with Mirror(runs) as recorder:
        start(recorder)
        wait_for(lambda: broken.num_requests == 1)
        runs.server = None
    assert said(caplog) == []


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_said_at_once_and_tried_once_a_minute(runs, caplog, status):
    with WebServer(status) as server:
        runs.server = server
        steps = (
            *(lambda recorder, n=n: recorder.log_epoch(UID, epoch(n)) for n in range(50)),
            lambda recorder: wait_for(lambda: said(caplog)),
            lambda recorder: time.sleep(0.5),
        )
        with pytest.raises(StudyError, match=rf"HTTP {status}.*51 records are missing"):
            fill(runs, start, *steps, drain_seconds=0.1)
        assert server.num_requests == 1
        assert outage.REFUSED_PAUSE_SECONDS >= 60
        (line,) = said(caplog)
        assert f"is lost: it refuses these credentials (HTTP {status})" in line


def test_corrected_credentials_are_noticed(runs, monkeypatch):
    monkeypatch.setattr(outage, "REFUSED_PAUSE_SECONDS", 0.2)
    with WebServer(401) as server:
        runs.server = server
        with Mirror(runs) as recorder:
            start(recorder)
            wait_for(lambda: server.num_requests)
            runs.server = None
    assert only(runs).info.status == "RUNNING"


def test_a_store_that_stays_away_is_said_in_one_line(runs, broken):
    runs.server = broken
    with pytest.raises(StudyError) as caught:
        fill(runs, start, drain_seconds=0.3)
    text = str(caught.value)
    assert "\n" not in text
    for part in ("HTTP 503", "Training is done", "1 records are missing", "dvc repro"):
        assert part in text


def studied(trial, **changes):
    """A trial as the study keeps it, each epoch with its own time."""
    epochs = [
        {"epoch": n, "metrics": {"val_accuracy": n / 100, "loss": 1.0}, "at_ms": 2000 + n}
        for n in range(8)
    ]
    changes |= {"epochs": epochs, "metrics": {"best_epoch": 7.0}, "outcome": "complete"}
    return trial(values=[n / 100 for n in range(8)], hyperparameters={"units": 64}, **changes)


@pytest.mark.parametrize("num_sent", range(4))
def test_the_next_start_writes_what_an_outage_left_out(runs, broken, open_runs, trial, num_sent):
    failed = studied(trial, state="FAIL", traceback="boom", reason="worker killed")
    told = {"value": None, "tags": {"reason": "worker killed"}, "traceback": "boom"}
    steps = [
        lambda recorder: start(recorder, at_ms=1000),
        *(
            lambda recorder, n=n: recorder.log_epoch(
                UID, epoch(n, val_accuracy=n / 100, loss=1.0), at_ms=2000 + n
            )
            for n in range(2)
        ),
        lambda recorder: end(recorder, state="FAIL", metrics={"best_epoch": 7.0}, **told),
    ]

    def go_away(recorder):
        wait_for(lambda: recorder.num_waiting == 0)
        runs.server = broken

    with pytest.raises(StudyError):
        fill(runs, *steps[:num_sent], go_away, *steps[num_sent:], drain_seconds=0.1)
    after = open_runs()
    assert after.reconcile([failed])
    assert after.reconcile([failed], is_thorough=True) == []
    assert history(after) == [(n, 2000 + n) for n in range(8)]
    run = only(after)
    assert (run.info.status, run.data.tags["reason"]) == ("FAILED", "worker killed")
    assert [file.path for file in after.store.client.list_artifacts(run.info.run_id)] == [
        "traceback.txt"
    ]


def test_a_confirmation_that_was_cut_off_is_closed_and_replaced_when_it_is_done_anew(
    runs, open_runs
):
    tags = {"role": "confirm", "seed": "1"}
    with pytest.raises(KeyboardInterrupt):
        fill(
            runs,
            lambda recorder: start(recorder, tags=tags, at_ms=1),
            raising(KeyboardInterrupt()),
        )
    after = open_runs()
    with Mirror(after) as recorder:
        assert [difference.kind for difference in after.reconcile([])] == ["stale"]
        assert only(after).info.status == "KILLED"
        start(recorder, tags=tags, at_ms=2)
        wait_for(lambda: recorder.num_waiting == 0)
        assert only(after).info.start_time == 2


def test_an_interrupt_leaves_the_rest_for_the_next_start(runs, broken, caplog):
    runs.server = broken
    begin = time.monotonic()
    asked = lambda recorder: wait_for(lambda: broken.num_requests)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        fill(runs, start, asked, raising(KeyboardInterrupt()))
    assert time.monotonic() - begin < 30
    assert "1 records are missing in MLflow; the next start" in said(caplog)[-1]


def test_an_interrupt_does_not_wait_for_a_store_that_hangs(runs, caplog):
    with WebServer(mode="hang") as server:
        runs.server = server
        begin = time.monotonic()
        asked = lambda recorder: wait_for(lambda: server.num_requests)  # noqa: E731
        with pytest.raises(SystemExit):
            fill(runs, start, asked, raising(SystemExit(143)))
        assert time.monotonic() - begin < 20


def test_an_interrupt_still_sends_what_a_healthy_store_takes_at_once(runs):
    steps = (
        start,
        lambda recorder: end(recorder, state="FAIL", value=None, tags={"reason": "interrupted"}),
        raising(KeyboardInterrupt()),
    )
    with pytest.raises(KeyboardInterrupt):
        fill(runs, *steps)
    assert only(runs).data.tags["reason"] == "interrupted"


def impossible(recorder):
    start(recorder, "it's")  # What no filter of MLflow can ask for.


def has_failed(recorder):
    wait_for(lambda: recorder._error)


def test_a_record_that_the_store_never_takes_is_raised_at_the_next_call_with_its_trial(runs):
    later = []
    with pytest.raises(store_errors(), match="Invalid clause") as caught:
        fill(runs, start, impossible, has_failed, impossible, later.append)
    assert not later
    assert caught.value.__notes__ == ["This was a record of trial it's."]


def test_a_record_that_the_store_never_takes_is_raised_when_the_block_ends(runs):
    with pytest.raises(store_errors(), match="Invalid clause"):
        fill(runs, impossible)


def test_a_bad_request_is_raised_and_not_repeated(runs):
    body = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "a bad name"}'
    with WebServer(400, body) as server:
        runs.server = server
        with pytest.raises(store_errors(), match="a bad name") as caught:
            fill(runs, start)
        assert server.num_requests == 1
    assert UID in caught.value.__notes__[0]


def test_an_error_of_the_block_is_not_hidden_by_one_of_the_mirror(runs, caplog):
    with pytest.raises(ValueError, match="the block's"):
        fill(runs, impossible, has_failed, raising(ValueError("the block's")))
    assert "Invalid clause" in caplog.text


def test_nothing_else_may_write_runs_while_the_mirror_does(runs):
    with Mirror(runs) as recorder:
        runs.reconcile([])
        start(recorder)
        wait_for(lambda: recorder.num_waiting == 0)
        with pytest.raises(RuntimeError, match="Another thread"):
            runs.reconcile([])
        with pytest.raises(RuntimeError, match="Another thread"):
            start(runs, "other")
    runs.forget(UID)


def test_requests_are_impatient_only_while_the_mirror_sends(runs, monkeypatch):
    for name in (RETRIES, TIMEOUT):
        monkeypatch.delenv(name, raising=False)
    with Mirror(runs) as recorder:
        assert RETRIES not in os.environ
        start(recorder)
        assert (os.environ[RETRIES], os.environ[TIMEOUT]) == ("0", str(thread.REQUEST_SECONDS))
    assert RETRIES not in os.environ
    assert TIMEOUT not in os.environ


def test_a_users_own_patience_is_kept(runs, monkeypatch):
    monkeypatch.setenv(TIMEOUT, "300")
    with Mirror(runs) as recorder:
        start(recorder)
        assert os.environ[TIMEOUT] == "300"


def test_its_thread_ends_with_it(runs):
    with Mirror(runs) as recorder:
        start(recorder)
        (thread,) = [t for t in threading.enumerate() if t is recorder._thread]
        assert (thread.name, thread.daemon) == ("mirror", True)
    assert not thread.is_alive()


KILLED = """
    import os, pathlib, signal, sys
    from pipeline.records.mirror.runs import StudyRuns
    from pipeline.records.mirror.thread import Mirror
    from pipeline.training.messages import EpochRecord

    left = int(sys.argv[2])

    def dying(function):
        def wrapped(*args, **kwargs):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return wrapped

    setattr(Mirror, sys.argv[1], dying(getattr(Mirror, sys.argv[1])))
    runs = StudyRuns.open(
        pathlib.Path.cwd(), dataset="digits", study="transfer", study_name="digits-transfer",
        study_uid="0123456789abcdef" * 4, tags={"objective": "val_accuracy"}, params={},
    )
    with Mirror(runs) as recorder:
        recorder.start_trial(
            "0123456789ab-0000", number=0, hyperparameters={"units": 64}, tags={}, at_ms=1000
        )
        for number in range(8):
            record = EpochRecord(epoch=number, metrics={"val_accuracy": number / 100, "loss": 1.0})
            recorder.log_epoch("0123456789ab-0000", record, at_ms=2000 + number)
        recorder.end_trial(
            "0123456789ab-0000", "COMPLETE", value=0.07, metrics={"best_epoch": 7.0},
            tags={"outcome": "complete"}, traceback=None, at_ms=3000,
        )
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "at"), [("_append", 1), ("_append", 10), ("_send_next", 2), ("_send_next", 10)]
)
def test_a_kill_at_any_point_loses_and_doubles_nothing(root, open_runs, trial, point, at):
    code = [sys.executable, "-c", textwrap.dedent(KILLED), point, str(at)]
    killed = subprocess.run(code, cwd=root, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    runs = open_runs()
    runs.reconcile([studied(trial)])
    assert runs.reconcile([studied(trial)], is_thorough=True) == []
    assert history(runs) == [(n, 2000 + n) for n in range(8)]
    assert set(only(runs).data.metrics) == {"val_accuracy", "loss", "best_epoch", "value"}
    assert only(runs).data.tags["outcome"] == "complete"
