"""A search that is killed at any moment goes on where it was, and no store says anything false."""

import json
import os
import re
import signal
import sqlite3
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.keras]


@pytest.fixture(scope="module")
def checkout(embedded, tmp_path_factory):
    made = embedded.copy(tmp_path_factory.mktemp("checkout"))
    # 8 epochs that no pruner cuts short, so that there is time to kill them.
    made.set({"search": {"trials": 6, "epochs": 8, "pruner": {"name": "none"}}})
    return made


def trials(checkout):
    database = checkout.folder / "mlruns/optuna.db"
    if not database.exists():
        return []
    with sqlite3.connect(database, timeout=30) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'trials'").fetchone():
            return []
        return connection.execute("select number, state, trial_id from trials").fetchall()


def wait_for_finished(checkout, count, process):
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if sum(state in ("COMPLETE", "PRUNED") for _, state, _ in trials(checkout)) >= count:
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    pytest.fail(f"{count} trials did not finish in time")


def wait_for_running(checkout, process, *, since):
    """Waits until a trial runs that was not there `since`; an earlier test may have left others."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        new = set(trials(checkout)) - set(since)
        if any(state == "RUNNING" for _, state, _ in new):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    pytest.fail("no trial ran in time")


def wait_until_heard(process):
    """Waits until a process has taken a first SIGINT: it ignores SIGTERM from then on."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = Path(f"/proc/{process.pid}/status").read_text()
        ignored = int(re.search(r"^SigIgn:\s*(\w+)", status, re.MULTILINE)[1], 16)
        if ignored >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.001)
    pytest.fail("no SIGINT arrived in time")


def group_is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def finished(checkout):
    return {number: i for number, state, i in trials(checkout) if state in ("COMPLETE", "PRUNED")}


def run_statuses(checkout):
    with sqlite3.connect(checkout.folder / "mlflow.db") as connection:
        return [row[0] for row in connection.execute("select status from runs")]


def test_kill_nine_of_everything_then_repro_finishes_what_is_missing(checkout):
    process = checkout.start("dvc", "repro", "search@scratch")
    wait_for_finished(checkout, 2, process)
    before = finished(checkout)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    checkout.repro("search@scratch")
    assert before.items() <= finished(checkout).items()
    exported = json.loads((checkout.folder / "results/scratch/study.json").read_text())["trials"]
    states = [trial["state"] for trial in exported]
    assert sum(state in ("COMPLETE", "PRUNED") for state in states) == 6
    assert "RUNNING" not in states
    assert "RUNNING" not in run_statuses(checkout)
    assert "trials, 0 differences found" in checkout.pipeline("audit")


def test_a_killed_dvc_takes_its_stage_and_workers_along(checkout):
    checkout.set({"search": {"seed": 2, "trials": 500}})
    before = trials(checkout)
    process = checkout.start("dvc", "repro", "search@scratch")
    wait_for_running(checkout, process, since=before)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 15
    while group_is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not group_is_alive(process.pid)
    assert "RUNNING" not in run_statuses(checkout)


def test_a_second_ctrl_c_ends_a_search_at_once_and_the_next_one_cleans_up(checkout):
    checkout.set({"search": {"seed": 4, "trials": 3, "workers": 1}})
    before = trials(checkout)
    process = checkout.fork("pipeline", "search", "scratch")
    wait_for_running(checkout, process, since=before)
    os.kill(process.pid, signal.SIGINT)
    wait_until_heard(process)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    # A first one alone would have ended what runs before the process ends.
    new = set(trials(checkout)) - set(before)
    assert any(state == "RUNNING" for _, state, _ in new)
    checkout.pipeline("search", "scratch")
    assert "RUNNING" not in run_statuses(checkout)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_search_says_so_and_leaves_nothing_running(checkout, signum, code):
    checkout.set({"search": {"seed": int(signum) + 100, "trials": 500, "workers": 1}})
    before = trials(checkout)
    process = checkout.fork("pipeline", "search", "scratch")
    wait_for_running(checkout, process, since=before)
    start = time.monotonic()
    os.kill(process.pid, signum)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    assert time.monotonic() - start < 20
    assert "RUNNING" not in run_statuses(checkout)
    assert "Traceback" not in output


def test_a_second_search_of_the_same_study_is_refused_with_the_pid(checkout):
    checkout.set({"search": {"seed": 3}})
    process = checkout.fork("pipeline", "search", "scratch")
    lock = checkout.folder / "mlruns/locks/digits-scratch.pid"
    deadline = time.monotonic() + 30
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    output = checkout.pipeline("search", "scratch", expect=2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert f"is being worked on already, by process {process.pid}" in output
