"""Trials on real Ray clusters: what happens to a worker, a machine or the driver harms no other.

One machine stands for several: `ray.cluster_utils.Cluster` starts a raylet for each, and its GPUs
are only counted. A process has one connection to Ray at a time, so clusters follow each other.
"""

import dataclasses
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

# Before Ray is imported: clusters of these tests have a token of their own.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
import psutil
import pytest

from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.tuning.executors import ray_cluster
from pipeline.tuning.executors.base import EpochDone, TrialDone, TrialLost, TrialRaised
from pipeline.tuning.executors.ray import RayExecutor
from pipeline.tuning.records import DataReference, TrialSpec
from tests.conftest import ROOT
from tests.tuning.executors.cut_double import train
from tests.tuning.executors.test_local import collect

NUM_IMAGES = 40
TIME_LIMIT = 4.0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    features = np.arange(NUM_IMAGES * 100 * 100) % 7
    shape = (NUM_IMAGES, 100, 100)
    np.save(folder / "block4.npy", features.astype(np.float16).reshape(shape))
    cut = {"file": "block4.npy", "shape": shape[1:], "mean": [0.0], "variance": [1.0]}
    (folder / "manifest.json").write_text(json.dumps({"num_classes": 4, "cuts": {"block4": cut}}))
    train_rows, val_rows = np.split(np.arange(NUM_IMAGES), [30])
    labels = np.arange(NUM_IMAGES) % 4
    np.savez(folder / "train.npz", labels=labels, train=train_rows, val=val_rows)
    return DataReference(features=str(folder), train_file=str(folder / "train.npz"))


def spec(uid, *, epochs=2, model_file=None, **settings):
    hyperparameters = {"cut": "block4", "top": 0.5, **settings}
    return TrialSpec(
        uid=uid, hyperparameters=hyperparameters, seed=1, epochs=epochs, model_file=model_file
    )


def until_running(executor, *uids, seconds=30):
    """Answers epochs until these trials have workers; returns their process ids."""
    deadline = time.monotonic() + seconds
    while not set(uids) <= executor.pids.keys() and time.monotonic() < deadline:
        for event in executor.wait(0.1):
            executor.answer(event.uid, stop=False)
    return [executor.pids[uid] for uid in uids]


def ends_within(seconds, *pids):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(is_running(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def own_process(name):
    """Returns the one process below this one whose command line has this name."""
    for child in psutil.Process().children(recursive=True):
        if child.status() != psutil.STATUS_ZOMBIE and name in " ".join(child.cmdline()):
            return child
    raise AssertionError(f"There is no process {name!r}.")


def last_events(executor, count, **options):
    return {event.uid: event for event in collect(executor, count, **options)}


class TestOnAClusterOfItsOwn:
    @pytest.fixture(scope="class")
    def executor(self):
        handler = signal.getsignal(signal.SIGTERM)
        with RayExecutor(max_trials=2, train=train, trial_timeout_seconds=TIME_LIMIT) as own:
            assert signal.getsignal(signal.SIGTERM) is handler
            yield own

    def test_each_epoch_is_reported_in_order_and_then_the_result(self, executor, data):
        executor.submit(spec("a1", epochs=3), data)
        executor.submit(spec("a2", epochs=3), data)
        events = collect(executor, 2)
        for uid in ("a1", "a2"):
            own = [event for event in events if event.uid == uid]
            assert [type(event) for event in own] == [EpochDone] * 3 + [TrialDone]
            assert [event.record.epoch for event in own[:3]] == [0, 1, 2]
            assert own[-1].result.metrics == {"val_accuracy": 0.5}

    def test_a_trial_that_is_told_to_stop_stops_after_that_epoch(self, executor, data):
        executor.submit(spec("b", epochs=9), data)
        result = collect(executor, 1, stop_at=2)[-1].result
        assert (result.outcome, result.num_epochs) == ("stopped", 3)

    def test_two_trials_run_at_the_same_time_and_no_third(self, executor, data):
        for uid in ("c1", "c2"):
            executor.submit(spec(uid, epoch_seconds=0.3), data)
        assert executor.num_free == 0
        with pytest.raises(ValueError, match=r"no room for more trials\. Received: 'c3'"):
            executor.submit(spec("c3"), data)
        first, second = until_running(executor, "c1", "c2")
        assert first != second
        collect(executor, 2)
        assert executor.num_free == 2

    def test_features_are_read_once_and_mapped_read_only_from_the_object_store(
        self, executor, data
    ):
        class Counted(DataReference):
            def load_cut(self, cut, *, judge):
                loaded.append(cut)
                return super().load_cut(cut, judge=judge)

        loaded = []
        counted = Counted(features=data.features, train_file=data.train_file)
        for uid in ("d1", "d2"):
            executor.submit(spec(uid), counted)
        notes = [event.result.notes for event in last_events(executor, 2).values()]
        expected = float(np.load(f"{data.features}/block4.npy").sum(dtype=float))
        assert [note["sum"] for note in notes] == [expected] * 2
        assert [note["writeable"] for note in notes] == [False] * 2
        assert all("plasma" in note["mapped"] for note in notes)
        assert loaded == ["block4"]

    def test_the_model_file_comes_back_whole_to_the_drivers_path(self, executor, data, tmp_path):
        file = tmp_path / "models" / "trial.keras"
        executor.submit(spec("e", model_file=str(file)), data)
        result = collect(executor, 1)[-1].result
        assert result.model_file == str(file)
        assert file.read_bytes() == b"weights of e"
        assert [path.name for path in file.parent.iterdir()] == ["trial.keras"]
        # The worker wrote it elsewhere: it may have no such path.
        assert result.notes["file"] != str(file)
        assert not Path(result.notes["file"]).exists()

    def test_missing_features_are_refused_before_anything_runs(self, executor, data, tmp_path):
        nowhere = dataclasses.replace(data, features=str(tmp_path))
        with pytest.raises(DataIntegrityError, match="Run the stage `embed` first"):
            executor.submit(spec("f"), nowhere)
        assert executor.num_free == 2

    def test_an_error_comes_back_with_its_traceback_and_ends_its_process(self, executor, data):
        executor.submit(spec("g", behaviour="raise", epochs=1), data)
        (pid,) = until_running(executor, "g")
        (event,) = collect(executor, 1)
        assert isinstance(event, TrialRaised)
        assert event.message == "RuntimeError: the weights are on fire"
        assert "training_double.py" in event.traceback
        assert not event.is_infeasible
        assert ends_within(5, pid)

    def test_an_infeasible_trial_says_so_and_its_process_goes_on(self, executor, data):
        executor.submit(spec("h", behaviour="infeasible"), data)
        (pid,) = until_running(executor, "h")
        (event,) = collect(executor, 1)
        assert event.is_infeasible
        assert event.message == "The head must fit into memory."
        assert not ends_within(1, pid)

    def test_a_killed_worker_loses_its_trial_and_no_other_without_a_word(
        self, executor, data, capfd
    ):
        for uid in ("i1", "i2"):
            executor.submit(spec(uid, epochs=5, epoch_seconds=0.3), data)
        killed, _ = until_running(executor, "i1", "i2")
        start = time.monotonic()
        os.kill(killed, signal.SIGKILL)
        last = last_events(executor, 2)
        assert last["i1"] == TrialLost("i1", "its worker process ended")
        assert isinstance(last["i2"], TrialDone)
        assert time.monotonic() - start < 20
        time.sleep(1)
        # Ray would print what it knows of the killed process into the search's own line.
        assert capfd.readouterr() == ("", "")

    def test_a_hanging_trial_is_ended_by_force_and_cannot_disturb_a_later_one(self, executor, data):
        executor.submit(spec("j1", epochs=9, epoch_seconds=TIME_LIMIT + 1), data)
        (pid,) = until_running(executor, "j1")
        (event,) = collect(executor, 1)
        assert event == TrialLost("j1", "it took over 4 s")
        assert ends_within(5, pid)
        executor.answer("j1", stop=False)
        executor.submit(spec("j2"), data)
        assert {event.uid for event in collect(executor, 1)} == {"j2"}

    def test_a_killed_mailbox_loses_the_running_trials_and_the_next_ones_run(self, executor, data):
        executor.submit(spec("k1", epochs=20, epoch_seconds=0.1), data)
        until_running(executor, "k1")
        own_process("ray::Mailbox").kill()
        assert collect(executor, 1)[-1] == TrialLost("k1", "the Ray cluster was lost", True)
        executor.submit(spec("k2"), data)
        assert isinstance(collect(executor, 1)[-1], TrialDone)

    def test_a_killed_raylet_loses_the_running_trials_and_the_next_ones_run(self, executor, data):
        executor.submit(spec("l1", epochs=200, epoch_seconds=0.1), data)
        until_running(executor, "l1")
        start = time.monotonic()
        own_process("raylet/raylet ").kill()
        assert isinstance(collect(executor, 1)[-1], TrialLost)
        assert time.monotonic() - start < 20
        # Nothing is started before the cluster has been started again.
        deadline = time.monotonic() + 20
        while not executor.num_free and time.monotonic() < deadline:
            executor.wait(0.5)
        executor.submit(spec("l2"), data)
        assert isinstance(collect(executor, 1)[-1], TrialDone)


def test_a_process_is_replaced_after_its_share_of_trials(data, tmp_path):
    with RayExecutor(max_trials=1, train=train, trials_per_worker=2) as executor:
        for uid in "abc":
            executor.submit(spec(uid, log=str(tmp_path / "log")), data)
            collect(executor, 1)
    pids = [line.split()[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert pids[0] == pids[1] != pids[2]


class TestOnASharedCluster:
    @pytest.fixture(scope="class")
    def cluster(self):
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False}
        shared = Cluster(initialize_head=True, head_node_args=head)
        yield shared
        shared.shutdown()

    def test_a_lost_machine_loses_its_trial_and_a_new_one_is_used(self, cluster, data):
        second = cluster.add_node(num_cpus=1)
        with RayExecutor(cluster.address, train=train) as executor:
            assert executor.num_free == 2
            for uid in ("a", "b"):
                executor.submit(spec(uid, epochs=25, epoch_seconds=0.1), data)
            until_running(executor, "a", "b")
            start = time.monotonic()
            raylet = second.all_processes["raylet"][0].process
            raylet.kill()
            events = last_events(executor, 2)
            lost = [event for event in events.values() if isinstance(event, TrialLost)]
            assert [(event.reason, event.with_machine) for event in lost] == [
                ("its machine was lost", True)
            ]
            assert sum(isinstance(event, TrialDone) for event in events.values()) == 1
            assert time.monotonic() - start < 20
            assert self.soon(executor, num_free=1)
            cluster.add_node(num_cpus=2)
            assert self.soon(executor, num_free=3)

    @staticmethod
    def soon(executor, *, num_free):
        deadline = time.monotonic() + 20
        while executor.num_free != num_free and time.monotonic() < deadline:
            executor.wait(0.1)
            time.sleep(0.1)
        return executor.num_free == num_free

    def test_two_trials_share_a_gpu(self, cluster, data):
        with RayExecutor(cluster.address, num_cpus=0.5, num_gpus=0.5, train=train) as executor:
            assert executor.num_free == 2
            for uid in ("a", "b"):
                executor.submit(spec(uid, epoch_seconds=0.5), data)
            pids = until_running(executor, "a", "b")
            events = last_events(executor, 2).values()
            assert [event.result.notes["gpus"] for event in events] == ["0", "0"]
            # TensorFlow gives GPU memory back only when its process ends.
            assert ends_within(5, *pids)

    def test_tasks_end_with_their_driver_and_the_cluster_serves_the_next(self, cluster, data):
        driver, (pid,) = start_driver(cluster.address, data)
        driver.kill()
        driver.wait()
        assert ends_within(20, pid)
        with RayExecutor(cluster.address, train=train) as executor:
            executor.submit(spec("next"), data)
            assert {event.uid for event in collect(executor, 1)} == {"next"}


DRIVER = """
import sys
from pipeline.tuning.executors.ray import RayExecutor
from pipeline.tuning.records import DataReference
from tests.tuning.executors.cut_double import train
from tests.tuning.executors.test_ray import spec, until_running

if __name__ == "__main__":
    address, features, train_file = sys.argv[1:]
    data = DataReference(features=features, train_file=train_file)
    with RayExecutor(address, max_trials=1, train=train) as executor:
        executor.submit(spec("killed", epochs=600, epoch_seconds=1.0), data)
        print(*until_running(executor, "killed"), flush=True)
        while True:
            for event in executor.wait(0.5):
                executor.answer(event.uid, stop=False)
"""


def start_driver(address, data):
    """Starts a driver in a process group of its own; returns it and its trial's process ids."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, address, data.features, data.train_file],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = driver.stdout.readline().split()
    assert pids, driver.stderr.read()
    return driver, [int(pid) for pid in pids]


def cluster_pids(driver):
    """The processes of a driver's own cluster, without two that stay for a minute.

    When the raylet is gone, its idle agents look for the head for 60 s and then end.
    """
    children = psutil.Process(driver.pid).children(recursive=True)
    return [child.pid for child in children if "Agent" not in " ".join(child.cmdline())]


def test_a_killed_driver_takes_its_own_cluster_with_it_and_a_restart_works(data):
    driver, trial = start_driver("local", data)
    pids = cluster_pids(driver)
    assert set(trial) < set(pids)
    driver.kill()
    driver.wait()
    assert ends_within(15, *pids)
    again, _ = start_driver("local", data)
    pids = cluster_pids(again)
    # As Ctrl-C does, to every process of the terminal.
    os.killpg(again.pid, signal.SIGINT)
    assert again.wait(timeout=15) == -signal.SIGINT
    assert again.stderr.read().strip().endswith("KeyboardInterrupt")
    assert ends_within(10, *pids)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("ray://127.0.0.1:1", "Connection refused"),
        ("somewhere", r"must be local, auto, HOST:PORT or ray://HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_refused_in_one_line(address, reason):
    with pytest.raises(ConfigError, match=reason) as refused:
        RayExecutor(address, train=train)
    assert f"Received: address='{address}'" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_something_else_that_answers_is_refused_after_a_few_seconds(capfd, monkeypatch):
    monkeypatch.setattr(ray_cluster, "REHEARSAL_SECONDS", 3.0)
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    port = server.stdout.readline().split()[5]
    start = time.monotonic()
    with pytest.raises(ConfigError, match=f"Received: address='127.0.0.1:{port}'"):
        RayExecutor(f"127.0.0.1:{port}", train=train)
    server.kill()
    server.communicate()
    assert time.monotonic() - start < 8
    assert capfd.readouterr().err == ""


def test_parts_above_one_are_refused():
    with pytest.raises(ConfigError, match=r"search.ray.num_cpus must be whole.*num_cpus=1.5"):
        RayExecutor(num_cpus=1.5)


def test_gpus_that_this_machine_does_not_have_are_refused():
    with pytest.raises(ConfigError, match=r"asks for .*'num_gpus': 64"):
        RayExecutor(num_gpus=64)


@pytest.mark.keras
@pytest.mark.slow
def test_the_real_worker_trains_from_the_object_store(data, params_document, tmp_path):
    import keras

    from pipeline.tuning.hyperparameters import active

    defaults = {**params_document["defaults"], "cut": "block4", "units": 4, "batch_size": 8}
    file = tmp_path / "trial.keras"
    real = TrialSpec(
        uid="real",
        hyperparameters=active(defaults),
        seed=1,
        epochs=2,
        model_file=str(file),
    )
    with RayExecutor(max_trials=1) as executor:
        executor.submit(real, data)
        events = collect(executor, 1, seconds=120)
    assert isinstance(events[-1], TrialDone), events[-1]
    assert [event.record.epoch for event in events[:-1]] == [0, 1]
    assert len(events[-1].result.weights_sha256) == 64
    assert keras.models.load_model(file).count_params() == events[-1].result.num_parameters


@pytest.mark.keras
@pytest.mark.slow
def test_the_real_worker_has_both_phases_where_no_file_of_the_driver_is(tmp_path, params_document):
    import keras

    from pipeline.tuning.hyperparameters import active
    from tests.models.small_base import small_base, write_features

    class Elsewhere(DataReference):
        """Files that the driver can read and a worker cannot."""

        def load_base(self):
            raise AssertionError("The worker read a file of the driver.")

    here = tmp_path / "features"
    here.mkdir()
    written = write_features(here, small_base())
    data = Elsewhere(features=written.features, train_file=written.train_file)
    defaults = {**params_document["defaults"], "cut": "block2", "unfreeze": 1, "units": 8}
    file = tmp_path / "trial.keras"
    two_phases = TrialSpec(
        uid="phases",
        hyperparameters=active({**defaults, "fine_tuning_share": 0.5, "learning_rate": 0.01}),
        seed=1,
        epochs=4,
        model_file=str(file),
    )
    with RayExecutor(max_trials=1) as executor:
        executor.submit(two_phases, data)
        events = collect(executor, 1, seconds=120)
    assert isinstance(events[-1], TrialDone), events[-1]
    phases = [event.record.metrics["phase"] for event in events[:-1]]
    assert phases == [1.0, 1.0, 2.0, 2.0]
    result = events[-1].result
    assert result.notes["phase_2_starts_from"] == "block1"
    assert keras.models.load_model(file).count_params() == result.num_parameters
