"""Trials in processes: what a worker does or suffers comes back as events, and harms no other."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.search.executors import local
from pipeline.search.executors.base import EpochDone, TrialDone, TrialLost, TrialRaised
from pipeline.search.executors.local import LocalExecutor
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialSpec
from tests.conftest import ROOT
from tests.search.executors import slow_double, stuck_double
from tests.search.training_double import train


@pytest.fixture
def data(tmp_path):
    return DataReference(features=str(tmp_path), train_file=str(tmp_path / "log"))


@pytest.fixture
def executor():
    with LocalExecutor(2, train=train) as executor:
        yield executor


def spec(uid, *, epochs=2, **settings):
    return TrialSpec(uid=uid, hyperparameters={"top": 0.5, **settings}, seed=1, epochs=epochs)


def collect(executor, count, *, stop_at=None, seconds=30):
    """Answers epochs and returns the events, until `count` trials have ended."""
    events, ended, deadline = [], 0, time.monotonic() + seconds
    while ended < count and time.monotonic() < deadline:
        for event in executor.wait(0.5):
            events.append(event)
            if isinstance(event, EpochDone):
                executor.answer(event.uid, stop=event.record.epoch == stop_at)
            else:
                ended += 1
    return events


def test_each_epoch_is_reported_and_then_the_result(executor, data):
    executor.submit(spec("a"), data)
    events = collect(executor, 1)
    assert [type(event) for event in events] == [EpochDone, EpochDone, TrialDone]
    assert events[-1].result.metrics == {"val_accuracy": 0.5}


def test_a_trial_that_is_told_to_stop_stops_after_that_epoch(executor, data):
    executor.submit(spec("a", epochs=9), data)
    events = collect(executor, 1, stop_at=2)
    assert events[-1].result.outcome == "stopped"
    assert events[-1].result.num_epochs == 3


def test_a_worker_is_used_again_for_the_next_trial(executor, data, tmp_path):
    for uid in ("a", "b"):
        executor.submit(spec(uid), data)
        collect(executor, 1)
    pids = [line.split()[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert len(set(pids)) == 1


def test_what_workers_leave_in_the_temporary_folder_is_removed(data, tmp_path):
    with LocalExecutor(1, train=train) as executor:
        for behaviour in ("well", "die"):
            executor.submit(spec("a", behaviour=behaviour, scratch=str(tmp_path / "names")), data)
            collect(executor, 1)
        folders = [Path(line) for line in (tmp_path / "names").read_text().splitlines()]
        assert [folder.exists() for folder in folders] == [True, True]
    assert [folder.exists() for folder in folders] == [False, False]


def test_two_trials_run_at_the_same_time(executor, data):
    executor.submit(spec("a", epoch_seconds=0.2), data)
    executor.submit(spec("b", epoch_seconds=0.2), data)
    assert executor.num_free == 0
    assert len(set(executor.pids.values())) == 2
    assert {event.uid for event in collect(executor, 2)} == {"a", "b"}


def test_a_killed_worker_loses_its_trial_and_no_other(executor, data):
    executor.submit(spec("a", epoch_seconds=0.3, epochs=5), data)
    executor.submit(spec("b", epoch_seconds=0.3, epochs=5), data)
    os.kill(executor.pids["a"], signal.SIGKILL)
    last = {event.uid: event for event in collect(executor, 2)}
    assert isinstance(last["a"], TrialLost)
    assert "exit code -9" in last["a"].reason
    assert isinstance(last["b"], TrialDone)


def test_a_worker_killed_while_idle_is_replaced(executor, data):
    executor.submit(spec("a"), data)
    pid = executor.pids["a"]
    collect(executor, 1)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    executor.wait(0.1)
    executor.submit(spec("b"), data)
    assert isinstance(collect(executor, 1)[-1], TrialDone)


def test_an_error_comes_back_with_its_traceback_and_the_worker_is_replaced(executor, data):
    executor.submit(spec("a", behaviour="raise"), data)
    pid = executor.pids["a"]
    (event,) = collect(executor, 1)
    assert isinstance(event, TrialRaised)
    assert event.message == "RuntimeError: the weights are on fire"
    assert "training_double.py" in event.traceback
    executor.submit(spec("b"), data)
    assert isinstance(collect(executor, 1)[-1], TrialDone)
    assert not psutil.pid_exists(pid)


def test_an_infeasible_trial_says_so_and_its_worker_goes_on(executor, data):
    executor.submit(spec("a", behaviour="infeasible"), data)
    pid = executor.pids["a"]
    (event,) = collect(executor, 1)
    assert event.is_infeasible
    executor.submit(spec("b"), data)
    assert executor.pids["b"] == pid


def test_what_a_worker_imports_is_no_part_of_its_trial(data):
    limit = slow_double.IMPORT_SECONDS - 1
    with LocalExecutor(1, trial_timeout_seconds=limit, train=slow_double.train) as executor:
        executor.submit(spec("a"), data)
        assert isinstance(collect(executor, 1)[-1], TrialDone)


def test_a_hanging_trial_is_killed_after_its_time(data):
    with LocalExecutor(1, train=train, trial_timeout_seconds=2.0) as executor:
        executor.submit(spec("a", behaviour="hang"), data)
        (event,) = collect(executor, 1)
    assert isinstance(event, TrialLost)
    assert "it took over 2 s" in event.reason


def test_a_worker_is_replaced_after_its_share_of_trials(data, tmp_path):
    with LocalExecutor(1, train=train, trials_per_worker=2) as executor:
        for uid in "abc":
            executor.submit(spec(uid), data)
            collect(executor, 1)
    pids = [line.split()[2] for line in (tmp_path / "log").read_text().splitlines()[::2]]
    assert pids[0] == pids[1] != pids[2]


def test_a_worker_that_grew_too_large_is_replaced(data, tmp_path):
    with LocalExecutor(1, train=train, memory_limit_bytes=1) as executor:
        for uid in "ab":
            executor.submit(spec(uid), data)
            collect(executor, 1)
    assert len({line.split()[2] for line in (tmp_path / "log").read_text().splitlines()}) == 2


@pytest.mark.parametrize("has_gpu", [False, True])
def test_workers_are_forks_of_one_server_where_no_gpu_forbids_it(
    data, tmp_path, monkeypatch, has_gpu
):
    monkeypatch.setattr(local, "GPU_DRIVERS", [str(tmp_path)] if has_gpu else [])
    with LocalExecutor(2, train=train) as executor:
        for uid in "ab":
            executor.submit(spec(uid, behaviour="hang"), data)
        (parent,) = {psutil.Process(pid).ppid() for pid in executor.pids.values()}
    assert (parent == os.getpid()) == has_gpu


@pytest.mark.slow
def test_ctrl_c_while_the_server_imports_is_the_drivers_to_answer(tmp_path):
    code = (
        "import os, signal, sys, time\n"
        "from pipeline.search.executors.local import LocalExecutor\n"
        "from pipeline.training.data import DataReference\n"
        "from pipeline.training.messages import TrialSpec\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, lambda *_: None)\n"
        "    data = DataReference(features=sys.argv[1], train_file='none')\n"
        "    with LocalExecutor(1) as executor:\n"
        "        time.sleep(1)\n"
        "        os.killpg(0, signal.SIGINT)\n"
        "        executor.submit(TrialSpec(uid='a', hyperparameters={}, seed=1, epochs=2), data)\n"
        "        events = []\n"
        "        while not events:\n"
        "            events = executor.wait(1)\n"
        "    print(type(events[0]).__name__)\n"
    )
    file = tmp_path / "driver.py"
    file.write_text(code)
    done = subprocess.run(
        [sys.executable, str(file), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.stdout == "TrialRaised\n", done.stderr


def test_closing_leaves_no_process(data):
    with LocalExecutor(2, train=train) as executor:
        executor.submit(spec("a", behaviour="hang"), data)
        # That server stays, which workers are forks of.
        server = psutil.Process(executor.pids["a"]).parent()
    assert server is not None
    _, alive = psutil.wait_procs(server.children(), timeout=5)
    assert alive == []


def test_more_trials_than_workers_are_refused(executor, data):
    for uid in "ab":
        executor.submit(spec(uid, behaviour="hang"), data)
    with pytest.raises(ValueError, match=r"All 2 workers are busy\. Received: 'c'"):
        executor.submit(spec("c"), data)


def started(log):
    """Waits until a trial runs, whose worker has then set itself up."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if log.exists() and "start" in log.read_text():
            return
        time.sleep(0.02)
    pytest.fail("no trial began in time")


def test_ctrl_c_in_the_terminal_is_the_drivers_to_answer(executor, data, tmp_path):
    executor.submit(spec("a", epoch_seconds=0.5), data)
    started(tmp_path / "log")
    # As the kernel does it to the whole process group.
    os.kill(executor.pids["a"], signal.SIGINT)
    assert isinstance(collect(executor, 1)[-1], TrialDone)


def test_a_worker_that_hangs_dies_with_its_driver(tmp_path):
    code = (
        "import sys, time\n"
        "from pipeline.search.executors.local import LocalExecutor\n"
        "from pipeline.training.data import DataReference\n"
        "from pipeline.training.messages import TrialSpec\n"
        "from tests.search.training_double import train\n"
        "if __name__ == '__main__':\n"
        "    local = LocalExecutor(1, train=train)\n"
        "    data = DataReference(features=sys.argv[1], train_file=sys.argv[1] + '/log')\n"
        "    settings = {'top': 0.5, 'behaviour': 'hang'}\n"
        "    local.submit(TrialSpec(uid='a', hyperparameters=settings, seed=1, epochs=2), data)\n"
        "    time.sleep(60)\n"
    )
    file = tmp_path / "driver.py"
    file.write_text(code)
    driver = subprocess.Popen(
        [sys.executable, str(file), str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    started(tmp_path / "log")
    worker = psutil.Process(int((tmp_path / "log").read_text().split()[2]))
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs([worker], timeout=10)
    for process in alive:
        process.kill()
    assert not alive


def test_a_trial_given_to_a_worker_that_has_just_died_is_lost(executor, data):
    executor.submit(spec("a"), data)
    worker = psutil.Process(executor.pids["a"])
    collect(executor, 1)
    worker.kill()
    worker.wait()
    executor.submit(spec("b"), data)
    (event,) = collect(executor, 1)
    assert (event.uid, type(event)) == ("b", TrialLost)
    assert executor.num_free == 2


def test_a_worker_killed_while_it_speaks_loses_its_trial(executor, data):
    executor.submit(spec("a", behaviour="die_speaking"), data)
    (event,) = collect(executor, 1)
    assert isinstance(event, TrialLost)
    executor.submit(spec("b"), data)
    assert isinstance(collect(executor, 1)[-1], TrialDone)


def test_each_trial_has_the_whole_time(data):
    with LocalExecutor(1, train=train, trial_timeout_seconds=20.0) as executor:
        for uid in "ab":
            executor.submit(spec(uid), data)
            assert isinstance(collect(executor, 1)[-1], TrialDone)
            executor._workers[0].started -= 60.0


def test_a_worker_that_does_not_get_ready_is_killed_too(data, monkeypatch):
    monkeypatch.setattr("pipeline.search.executors.local.START_SECONDS", 0.0)
    with LocalExecutor(1, trial_timeout_seconds=1.0, train=stuck_double.train) as executor:
        executor.submit(spec("a"), data)
        (event,) = collect(executor, 1)
    assert event.reason.startswith("it took over 1 s")
