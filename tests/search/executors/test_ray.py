"""Trials on real Ray clusters: what happens to a worker, a machine or the driver harms no other."""

import dataclasses
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import ray

from pipeline.data.rows import part_labels
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.search.executors import ray as ray_module
from pipeline.search.executors import ray_cluster
from pipeline.search.executors.base import EpochDone, TrialDone, TrialLost, TrialRaised
from pipeline.search.executors.ray import RayExecutor
from pipeline.search.queue import retire
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.messages import EpochRecord, TrialSpec, answers_file
from testing.search import search_params
from tests.conftest import ROOT
from tests.search.executors.cut_double import train
from tests.search.executors.ray_clusters import (
    cluster_processes,
    ends_within,
    last_events,
    own_process,
    soon,
    spec,
    start_driver,
    until_running,
)
from tests.search.executors.test_local import collect


class TestOnAClusterOfItsOwn:
    @pytest.fixture(scope="class")
    def executor(self):
        handler = signal.getsignal(signal.SIGTERM)
        with RayExecutor(max_trials=2, train=train) as own:
            assert signal.getsignal(signal.SIGTERM) is handler
            yield own

    def test_each_epoch_is_reported_once_and_in_order_and_then_the_result(self, executor, cut):
        for uid in ("a1", "a2"):
            executor.submit(spec(uid, epochs=30), cut)
        events = collect(executor, 2)
        for uid in ("a1", "a2"):
            own = [event for event in events if event.uid == uid]
            assert [type(event) for event in own] == [EpochDone] * 30 + [TrialDone]
            assert [event.record.epoch for event in own[:-1]] == list(range(30))
            assert own[-1].result.metrics == {"val_accuracy": 0.5}

    def test_an_epoch_that_is_heard_of_twice_is_reported_once(self, executor, cut):
        executor.submit(spec("a3", epochs=1, epoch_seconds=0.3), cut)
        until_running(executor, "a3")
        time.sleep(1)
        # As when a trial ends while another's epoch is on its way.
        asked = executor._messages(arrived=False, ended=True)
        assert [type(message) for message in asked] == [EpochDone]
        assert executor.wait(0.5) == []
        executor.answer("a3", stop=False)
        assert isinstance(last_events(executor, 1)["a3"], TrialDone)

    def test_what_a_trial_leaves_in_the_temporary_folder_is_removed(self, executor, cut):
        executor.submit(spec("a4", epochs=1), cut)
        left = Path(collect(executor, 1)[-1].result.notes["scratch"])
        assert left.parent.name.startswith("trial-")
        assert not left.parent.exists()

    def test_a_trial_that_is_told_to_stop_stops_after_that_epoch(self, executor, cut):
        executor.submit(spec("b", epochs=9), cut)
        result = collect(executor, 1, stop_at=2)[-1].result
        assert (result.outcome, result.num_epochs) == ("stopped", 3)

    def test_two_trials_run_at_the_same_time_and_no_third(self, executor, cut):
        for uid in ("c1", "c2"):
            executor.submit(spec(uid, epoch_seconds=0.3), cut)
        assert executor.num_free == 0
        with pytest.raises(ValueError, match=r"no room for more trials\. Received: 'c3'"):
            executor.submit(spec("c3"), cut)
        first, second = until_running(executor, "c1", "c2")
        assert first != second
        collect(executor, 2)
        assert executor.num_free == 2

    def test_features_are_read_once_and_mapped_read_only_from_the_object_store(self, executor, cut):
        class Counted(DataReference):
            def load_cut(self, cut, *, judge):
                loaded.append(cut)
                return super().load_cut(cut, judge=judge)

        loaded = []
        counted = Counted(features=cut.features, train_file=cut.train_file)
        for uid in ("d1", "d2"):
            executor.submit(spec(uid), counted)
        notes = [event.result.notes for event in last_events(executor, 2).values()]
        expected = float(np.load(f"{cut.features}/block4.npy").sum(dtype=float))
        assert [note["sum"] for note in notes] == [expected] * 2
        assert [note["writeable"] for note in notes] == [False] * 2
        assert all("plasma" in note["mapped"] for note in notes)
        assert loaded == ["block4"]

    def test_the_model_file_comes_back_whole_to_the_drivers_path(self, executor, cut, tmp_path):
        file = tmp_path / "models" / "trial.keras"
        executor.submit(spec("e", model_file=str(file)), cut)
        result = collect(executor, 1)[-1].result
        assert result.model_file == str(file)
        assert file.read_bytes() == b"weights of e"
        assert [path.name for path in file.parent.iterdir()] == ["trial.keras"]
        # The worker wrote it elsewhere: it may have no such path.
        assert result.notes["file"] != str(file)
        assert not Path(result.notes["file"]).exists()

    def test_missing_features_are_refused_before_anything_runs(self, executor, cut, tmp_path):
        nowhere = dataclasses.replace(cut, features=str(tmp_path))
        with pytest.raises(
            DataIntegrityError, match=r"no manifest.json yet: .* Run `dvc repro` first"
        ):
            executor.submit(spec("f"), nowhere)
        assert executor.num_free == 2

    def test_an_error_comes_back_with_its_traceback_and_ends_its_process(self, executor, cut):
        executor.submit(spec("g", behaviour="raise", epochs=1), cut)
        (pid,) = until_running(executor, "g")
        event = last_events(executor, 1)["g"]
        assert isinstance(event, TrialRaised)
        assert event.message == "RuntimeError: the weights are on fire"
        assert "training_double.py" in event.traceback
        assert not event.is_infeasible
        assert ends_within(5, pid)

    def test_an_error_that_is_heard_of_after_its_process_ended_is_not_lost(
        self, executor, cut, monkeypatch
    ):
        record = EpochRecord(epoch=0, metrics={})
        never = executor._mailbox.report.remote("nobody", record)
        monkeypatch.setattr(executor, "_taking", never)
        executor.submit(spec("m", epoch_seconds="unreadable"), cut)
        event = last_events(executor, 1)["m"]
        assert isinstance(event, TrialRaised)
        assert event.message.startswith("ValueError")

    def test_an_infeasible_trial_says_so_and_its_process_goes_on(self, executor, cut):
        executor.submit(spec("h", behaviour="infeasible"), cut)
        (pid,) = until_running(executor, "h")
        event = last_events(executor, 1)["h"]
        assert event.is_infeasible
        assert event.message == "The head must fit into memory."
        assert not ends_within(1, pid)

    def test_a_killed_worker_loses_its_trial_and_no_other_without_a_word(
        self, executor, cut, capfd
    ):
        for uid in ("i1", "i2"):
            executor.submit(spec(uid, epochs=5, epoch_seconds=0.3), cut)
        killed, _ = until_running(executor, "i1", "i2")
        start = time.monotonic()
        os.kill(killed, signal.SIGKILL)
        last = last_events(executor, 2)
        assert last["i1"] == TrialLost("i1", "its worker process ended")
        assert isinstance(last["i2"], TrialDone)
        assert time.monotonic() - start < 20
        # Under its own uid, as a confirmation tries it again, it is trained whole.
        executor.submit(spec("i1", epochs=3), cut)
        assert last_events(executor, 1)["i1"].result.outcome == "complete"
        time.sleep(1)
        # Ray would print what it knows of the killed process into the search's own line.
        assert capfd.readouterr() == ("", "")

    @pytest.mark.slow
    def test_a_search_tries_each_killed_trial_again_with_the_same_hyperparameters(
        self, executor, cut, tmp_path, monkeypatch
    ):
        study = search_with_kills(executor, cut, tmp_path, monkeypatch, killed={0, 3, 4})
        states = Counter(trial.state.name for trial in study.trials)
        assert states == {"COMPLETE": 6, "FAIL": 3}
        failed = [trial for trial in study.trials if trial.state.name == "FAIL"]
        assert {trial.number for trial in failed} == {0, 3, 4}
        for trial in failed:
            (again,) = [t for t in study.trials if t.user_attrs.get("retry_of") == trial.number]
            assert again.params == trial.params
            for name in ("hyperparameters", "seed"):
                assert again.user_attrs[name] == trial.user_attrs[name]

    def test_a_hanging_trial_is_ended_by_force_and_cannot_disturb_a_later_one(
        self, executor, cut, monkeypatch, capfd
    ):
        executor.submit(spec("j1", epochs=9, epoch_seconds=600.0), cut)
        (pid,) = until_running(executor, "j1")
        monkeypatch.setattr(executor, "_trial_timeout_seconds", 1.0)
        (event,) = collect(executor, 1)
        assert event == TrialLost("j1", "it took over 1 s")
        assert ends_within(5, pid)
        monkeypatch.undo()
        executor.answer("j1", stop=False)
        executor.submit(spec("j2"), cut)
        assert {event.uid for event in collect(executor, 1)} == {"j2"}
        assert capfd.readouterr() == ("", "")

    def test_one_silent_moment_after_a_pause_of_the_search_is_no_loss(self, executor, monkeypatch):
        raylet = own_process("raylet/raylet ")
        monkeypatch.setattr(executor._cluster, "_patience_seconds", 0.9)
        time.sleep(ray_cluster.CHECK_SECONDS)
        with monkeypatch.context() as silent:
            silent.setattr(ray_cluster, "_answers", lambda *_, **__: False)
            executor.wait(0.0)
            assert executor.num_free == 0
            start = time.monotonic()
            executor.wait(0.5)
            # A driver that has no room for a trial must not spin meanwhile.
            assert time.monotonic() - start >= 0.5
        assert soon(executor, num_free=2)
        assert own_process("raylet/raylet ") == raylet

    @pytest.mark.slow
    def test_a_killed_mailbox_loses_the_running_trials_and_the_next_ones_run_without_a_word(
        self, executor, cut, capfd
    ):
        executor.submit(spec("k1", epochs=20, epoch_seconds=0.1), cut)
        until_running(executor, "k1")
        own_process("ray::Mailbox").kill()
        assert last_events(executor, 1) == {
            "k1": TrialLost("k1", "the Ray cluster was lost", with_machine=True)
        }
        executor.submit(spec("k2"), cut)
        assert isinstance(last_events(executor, 1)["k2"], TrialDone)
        assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raylet/raylet ", "gcs_server "])
def test_a_killed_cluster_loses_the_running_trials_and_the_next_ones_run(cut, name):
    module = "tests.search.executors.cluster_loss"
    done = subprocess.run(
        [sys.executable, "-m", module, name, cut.features, cut.train_file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.startswith("killed\n"), done.stderr
    # Ray may end the process itself (see `cluster_loss`); then the search is what a killed one is.
    ended_by_ray = done.returncode == 1 and done.stdout == "killed\n"
    assert ended_by_ray or (done.returncode, done.stdout) == (0, "killed\nwent on\n"), done.stderr


def search_with_kills(executor, data, folder, monkeypatch, *, killed):
    """Runs a search of six trials, whose worker is killed where the trial's number is given."""
    from optuna.pruners import NopPruner

    from pipeline.records.storage import open_storage
    from pipeline.records.studies import open_study
    from pipeline.search import space
    from pipeline.search.engine import Engine
    from pipeline.search.progress import Progress
    from pipeline.training import hyperparameters

    class Killer:
        def start_trial(self, *told, **more):
            pass

        end_trial = start_trial

        def log_epoch(self, uid, record, *, at_ms):
            if int(uid[-4:]) in killed:
                os.kill(executor.pids[uid], signal.SIGKILL)

    entry = hyperparameters.Hyperparameter(kind="float", help="what the double understands")
    monkeypatch.setattr(space, "HYPERPARAMETERS", dict.fromkeys(("top", "cut"), entry))
    study = open_study(
        open_storage(folder),
        retire=retire,
        name="digits-mine",
        identity="a" * 64,
        direction="maximize",
    )
    study.pruner = NopPruner()
    top = space.FloatRange(type="float", low=0.0, high=1.0)
    searched = space.SearchSpace({"top": top}, {"cut": "block4", "unfreeze": 0})
    # A trial that is killed may itself be a retry.
    retries = {"max_retries": 3, "max_failures": 4}
    params = search_params(trials=6, epochs=2, seed=1, sampler="random", **retries)
    progress = Progress(params.trials, direction="maximize")
    told = {"recorder": Killer(), "data": data, "progress": progress}
    Engine(study, searched, params, limit_seconds=None, executor=executor, **told).run()
    return study


@pytest.fixture(scope="module")
def cluster():
    """A cluster with one machine of one CPU and one GPU, and with a port for clients."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment, socket.socket() as found:
        environment.setenv("PYTHONPATH", str(ROOT))
        # Else one in fifteen clients waits for 45 s: docs/ray.md.
        environment.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")
        # A machine that is switched off is found out after 2 s instead of 15 s, one that hangs
        # after 8 s instead of 66 s.
        environment.setenv("RAY_health_check_period_ms", "500")
        environment.setenv("RAY_health_check_timeout_ms", "2000")
        environment.setenv("RAY_health_check_failure_threshold", "3")
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
        found.close()
        head = {"num_cpus": 1, "num_gpus": 1, "ray_client_server_port": port}
        shared = Cluster(initialize_head=True, head_node_args={**head, "include_dashboard": False})
        shared.client_address = f"ray://127.0.0.1:{port}"
        yield shared
        shared.shutdown()


def raylet_of(machine):
    return machine.all_processes["raylet"][0].process


def switch_off(machine):
    raylet_of(machine).kill()
    # Its workers take a zombie for alive.
    raylet_of(machine).wait()


@pytest.mark.slow
class TestOnASharedCluster:
    @pytest.fixture(scope="class")
    def executor(self, cluster):
        with RayExecutor(cluster.address, max_trials=4, trials_per_worker=2, train=train) as shared:
            yield shared

    def test_a_process_is_replaced_after_its_share_of_trials(self, executor, cut, tmp_path):
        for uid in "abcd":
            executor.submit(spec(uid, log=str(tmp_path / "log")), cut)
            last_events(executor, 1)
        pids = [line.split()[2] for line in (tmp_path / "log").read_text().splitlines()]
        assert max(Counter(pids).values()) == 2

    def test_one_trial_waits_and_a_machine_that_joins_takes_it(
        self, cluster, executor, cut, monkeypatch
    ):
        assert executor.num_free == 2
        for uid in ("e1", "e2"):
            executor.submit(spec(uid, epochs=600, epoch_seconds=0.1), cut)
        until_running(executor, "e1")
        # Not even while the other one waits for an answer does it get the CPU.
        deadline, held = time.monotonic() + 2, []
        while time.monotonic() < deadline:
            held += executor.wait(0.5)
        assert {event.uid for event in held} == {"e1"}
        executor.answer("e1", stop=False)
        # The new machine's trial is heard of before the machine is.
        monkeypatch.setattr(ray_cluster, "CHECK_SECONDS", 1e6)
        machine = cluster.add_node(num_cpus=1)
        until_running(executor, "e2")
        monkeypatch.undo()
        last = last_events(executor, 2, stop=True)
        assert all(isinstance(event, TrialDone) for event in last.values()), last
        # The search's own code was sent along; that of a machine's image may be older.
        sent = {event.result.notes["code"] for event in last.values()}
        assert all(folder and Path(folder, "pipeline/errors.py").is_file() for folder in sent)
        cluster.remove_node(machine)
        assert soon(executor, num_free=2)

    def test_a_lost_machine_loses_its_trial_and_no_other(self, cluster, executor, cut):
        machine = cluster.add_node(num_cpus=1)
        assert soon(executor, num_free=3)
        for uid in ("f1", "f2"):
            executor.submit(spec(uid, epochs=25, epoch_seconds=0.1), cut)
        until_running(executor, "f1", "f2")
        switch_off(machine)
        ((uid, lost),) = last_events(executor, 1).items()
        assert lost == TrialLost(uid, "its machine was lost", with_machine=True)
        # Nothing more is started there, though the cluster does not know yet.
        assert executor.num_free == 1
        ((other, done),) = last_events(executor, 1).items()
        assert {uid, other} == {"f1", "f2"}
        assert isinstance(done, TrialDone)

    def test_a_machine_that_hangs_loses_its_trial_and_no_other(self, cluster, executor, cut):
        machine = cluster.add_node(num_cpus=1)
        executor.submit(spec("i1", epochs=600, epoch_seconds=0.1), cut)
        until_running(executor, "i1")
        executor.submit(spec("i2", epochs=600, epoch_seconds=0.1), cut)
        until_running(executor, "i2")
        raylet_of(machine).send_signal(signal.SIGSTOP)
        assert last_events(executor, 1) == {
            "i2": TrialLost("i2", "its machine was lost", with_machine=True)
        }
        assert executor.num_free == 1
        switch_off(machine)
        assert isinstance(last_events(executor, 1, stop=True)["i1"], TrialDone)

    def test_a_model_that_was_not_fetched_is_lost_with_its_machine(
        self, cluster, executor, cut, tmp_path
    ):
        machine = cluster.add_node(num_cpus=1)
        executor.submit(spec("g1", epochs=600, epoch_seconds=0.1), cut)
        until_running(executor, "g1")
        model = {"model_file": str(tmp_path / "model"), "padding": 10_000_000}
        executor.submit(spec("g2", epochs=1, **model), cut)
        heard_of = set()
        while "g2" not in heard_of:
            for event in executor.wait(0.1):
                executor.answer(event.uid, stop=False)
                heard_of.add(event.uid)
        # Time to end, in which nobody asks for its model.
        time.sleep(1)
        switch_off(machine)
        last = last_events(executor, 2, stop=True)
        assert last["g2"] == TrialLost("g2", "its machine was lost", with_machine=True)

    def test_another_version_of_ray_is_refused_in_one_line(self, cluster, monkeypatch, tmp_path):
        (tmp_path / "sitecustomize.py").write_text("import ray\nray.__version__ = '2.0.0'\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(ConfigError, match=r"Version mismatch.*Ray: 2\.0\.0") as refused:
            ray_cluster._rehearse(cluster.address)
        assert "\n" not in str(refused.value)

    def test_tasks_end_with_their_driver_and_the_cluster_serves_the_next(
        self, cluster, executor, cut
    ):
        driver, pid = start_driver(cluster.address, cut)
        driver.kill()
        driver.communicate()
        assert ends_within(20, pid)
        executor.submit(spec("h"), cut)
        assert isinstance(last_events(executor, 1)["h"], TrialDone)


@pytest.mark.slow
class TestThroughTheClientPort:
    @pytest.fixture(scope="class")
    def executor(self, cluster):
        options = {"num_cpus": 0.5, "num_gpus": 0.5, "train": train}
        with RayExecutor(cluster.client_address, **options) as client:
            yield client

    def test_two_trials_share_a_gpu_and_their_processes_end_with_them(self, executor, cut):
        assert executor.num_free == 2
        for uid in ("a", "b"):
            executor.submit(spec(uid, epoch_seconds=0.5), cut)
        pids = until_running(executor, "a", "b")
        events = last_events(executor, 2).values()
        assert [event.result.notes["gpus"] for event in events] == ["0", "0"]
        # TensorFlow gives GPU memory back only when its process ends.
        assert ends_within(5, *pids)

    def test_a_broken_connection_loses_the_running_trials_only_and_the_next_ones_run(
        self, executor, cut, monkeypatch
    ):
        def broken(*_, **__):
            # As 30 s after this client's server was killed; `benchmarks.ray_kills` does kill it.
            raise grpc.RpcError

        def end_and_break(uid):
            monkeypatch.setattr(executor, "_loss", broken)
            return end(uid)

        end = executor._end
        monkeypatch.setattr(executor, "_end", end_and_break)
        executor.submit(spec("c", epochs=600, epoch_seconds=0.1), cut)
        (pid,) = until_running(executor, "c")
        executor.submit(spec("d"), cut)
        assert isinstance(last_events(executor, 1)["d"], TrialDone)
        # Nothing is started before the connection has been made again.
        assert executor.num_free == 0
        monkeypatch.undo()
        lost = TrialLost("c", "the Ray cluster was lost", with_machine=True)
        assert last_events(executor, 1) == {"c": lost}
        assert ends_within(20, pid)
        executor.submit(spec("e"), cut)
        assert isinstance(last_events(executor, 1)["e"], TrialDone)

    @pytest.mark.parametrize("name", ["answer", "submit", "check"])
    def test_a_connection_that_breaks_elsewhere_is_heard_of_by_the_next_wait(
        self, executor, cut, monkeypatch, name
    ):
        def broken(*_, **__):
            raise ConnectionError

        monkeypatch.setattr(executor, "_start_again", lambda: ["started again"])
        monkeypatch.setattr(executor, "_attempts", {"f": None})
        if name == "answer":
            monkeypatch.setattr(executor._mailbox, "answer", SimpleNamespace(remote=broken))
            executor.answer("f", stop=False)
        elif name == "submit":
            monkeypatch.setattr(executor, "_shared", broken)
            executor.submit(spec("g"), cut)
            assert set(executor._attempts) == {"f", "g"}
        else:
            monkeypatch.setattr(executor._cluster, "check", broken)
        assert executor.wait(0.1) == ["started again"]
        executor._is_lost = False

    def test_a_cluster_without_the_projects_libraries_is_refused(
        self, executor, monkeypatch, tmp_path
    ):
        (tmp_path / "only_here.py").write_text("class Mailbox:\n    pass\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(ray_module, "Mailbox", importlib.import_module("only_here").Mailbox)
        with pytest.raises(ConfigError, match="must have this project's libraries") as refused:
            executor._open_mailbox()
        assert str(refused.value).endswith("No module named 'only_here'.")

    def test_tasks_end_with_their_driver(self, cluster, executor, cut, monkeypatch):
        executor.close()
        monkeypatch.delenv("RAY_CLIENT_RECONNECT_GRACE_PERIOD")
        driver, pid = start_driver(cluster.client_address, cut)
        driver.kill()
        driver.communicate()
        assert ends_within(20, pid)

    def test_a_client_server_that_dies_as_it_is_forked_is_asked_for_again(
        self, cluster, executor, monkeypatch
    ):
        def often_dead(*args, **options):
            # As Ray says it in one of fifteen connections: ray-project/ray#63202.
            deaths.append("Initialization failure from server:\nTraceback: ...\nError: dead.")
            if len(deaths) < 3:
                raise ConnectionAbortedError(deaths[-1])
            return connect(*args, **options)

        executor.close()
        connect, deaths = ray.init, []
        monkeypatch.setattr(ray, "init", often_dead)
        with RayExecutor(cluster.client_address) as again:
            assert again.num_free == 1
        deaths.clear()
        monkeypatch.setattr(ray_cluster, "CLIENT_RETRIES", 1)
        with pytest.raises(ConfigError, match=r": Error: dead\.$"):
            RayExecutor(cluster.client_address)

    def test_another_version_of_ray_is_refused_in_one_line(self, cluster, executor, monkeypatch):
        executor.close()
        monkeypatch.setattr(ray, "__version__", "2.0.0")
        with pytest.raises(ConfigError, match=r"mismatch.*2\.0\.0") as refused:
            RayExecutor(cluster.client_address)
        assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_killed_driver_takes_its_own_cluster_with_it_and_a_restart_works(cut):
    driver, pid = start_driver("local", cut)
    processes, agents = cluster_processes(driver)
    pids = [process.pid for process in processes]
    assert pid in pids
    driver.kill()
    driver.communicate()
    try:
        assert ends_within(20, *pids)
        again, _ = start_driver("local", cut)
        pids = [process.pid for group in cluster_processes(again) for process in group]
        # As Ctrl-C does, to every process of the terminal.
        os.killpg(again.pid, signal.SIGINT)
        _, said = again.communicate(timeout=90)
        assert again.returncode == -signal.SIGINT
        assert said.strip().endswith("KeyboardInterrupt")
        assert ends_within(20, *pids)
    finally:
        # They see at once that they are alone, and then tell a head for a minute that is gone, too.
        for agent in agents:
            agent.kill()


@pytest.mark.keras
@pytest.mark.slow
def test_the_real_worker_trains_from_the_object_store(cut, params_document, tmp_path, monkeypatch):
    import keras

    from pipeline.search.configurations import completed

    defaults = {**params_document["defaults"], "cut": "block4", "units": 4, "batch_size": 8}
    file = tmp_path / "trial.keras"
    real = TrialSpec(
        uid="real",
        hyperparameters=completed({}, SearchSpace({}, defaults)),
        seed=1,
        epochs=2,
        judge="confirmation",
        model_file=str(file),
    )
    with RayExecutor(max_trials=1, trial_timeout_seconds=0.1) as executor:
        executor.submit(real, cut)
        until_running(executor, "real")
        time.sleep(0.3)
        # What a worker imports is no part of its trial.
        assert executor.wait(0.1) == []
        monkeypatch.setattr(executor, "_trial_timeout_seconds", None)
        events = collect(executor, 1, seconds=120)
    assert isinstance(events[-1], TrialDone), events[-1]
    assert [event.record.epoch for event in events[:-1]] == [0, 1]
    assert len(events[-1].result.weights_sha256) == 64
    assert keras.models.load_model(file).count_params() == events[-1].result.num_parameters
    # What it answers on the judged part comes back, too.
    answers = np.load(answers_file(str(file)))
    labels = part_labels(Path(cut.train_file), "confirmation")
    found = float((answers.argmax(axis=1) == labels).mean())
    assert found == events[-1].result.metrics["confirmation_accuracy"]


@pytest.mark.keras
@pytest.mark.slow
def test_the_real_worker_has_both_phases_where_no_file_of_the_driver_is(tmp_path, params_document):
    import keras

    from pipeline.search.configurations import completed
    from tests.bases.small_base import small_base, write_features

    class Elsewhere(DataReference):
        """Files that the driver can read and a worker cannot."""

        def load_base(self):
            raise AssertionError("The worker read a file of the driver.")

    here = tmp_path / "features"
    here.mkdir()
    written = write_features(here, small_base())
    data = Elsewhere(features=written.features, train_file=written.train_file)
    # Two layers that lie in two segments: the worker finds out which cut phase 2 starts from.
    layers = {"cut": "block3", "unfreeze": 1, "unfreeze_layers": 2}
    defaults = {**params_document["defaults"], **layers, "units": 8}
    file = tmp_path / "trial.keras"
    two_phases = TrialSpec(
        uid="phases",
        hyperparameters=completed(
            {}, SearchSpace({}, {**defaults, "fine_tuning_share": 0.5, "learning_rate": 0.01})
        ),
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
