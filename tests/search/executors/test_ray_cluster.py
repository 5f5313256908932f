"""A cluster that cannot be used is refused in one line; one of our own leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.search.executors import ray_cluster
from pipeline.search.executors.ray import RayExecutor
from tests.search.executors.cut_double import train
from tests.search.executors.ray_clusters import own_process


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


def test_auto_is_the_cluster_that_the_environment_names(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"Received: address='ray://127\.0\.0\.1:1'"):
        RayExecutor("auto", train=train)


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
    # Ray alone goes on for longer than this test may.
    assert time.monotonic() - start < 60
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["num_cpus", "num_gpus"])
def test_parts_above_one_are_refused(name):
    with pytest.raises(ConfigError, match=rf"search\.ray\.{name} must be whole.*{name}=1\.5"):
        RayExecutor(**{name: 1.5})


@pytest.mark.slow
def test_gpus_that_this_machine_does_not_have_are_refused_and_nothing_stays(monkeypatch):
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    sessions = set(Path("/tmp/ray").glob(f"session_*_{os.getpid()}"))
    with pytest.raises(ConfigError, match=r"asks for .*'num_gpus': 64"):
        RayExecutor(num_gpus=64)
    # Nothing is told to Ray's makers.
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    with pytest.raises(AssertionError, match="There is no process"):
        own_process("gcs_server ")
    assert set(Path("/tmp/ray").glob(f"session_*_{os.getpid()}")) <= sessions


@pytest.mark.parametrize(
    ("cpus_of_trial", "gpus_of_trial", "node", "slots"),
    [
        (1.0, 0.0, {"CPU": 4.0}, 4),
        (1.5, 0.0, {"CPU": 4.0}, 2),
        (0.1, 0.0, {"CPU": 1.0}, 10),
        (1.0, 0.5, {"CPU": 8.0, "GPU": 2.0}, 4),
        # A part of a GPU is a part of a single one.
        (1.0, 0.7, {"CPU": 8.0, "GPU": 2.0}, 2),
        (1.0, 2.0, {"CPU": 8.0, "GPU": 3.0}, 1),
        (1.0, 1.0, {"CPU": 8.0}, 0),
        (2.0, 0.5, {"CPU": 3.0, "GPU": 4.0}, 1),
    ],
)
def test_as_many_trials_fit_on_a_machine_as_it_has_cpus_and_gpus_for(
    cpus_of_trial, gpus_of_trial, node, slots
):
    fitting = ray_cluster.slots_of(node, num_cpus=cpus_of_trial, num_gpus=gpus_of_trial)
    assert fitting == slots
