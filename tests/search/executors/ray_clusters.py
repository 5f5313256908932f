"""Real Ray clusters on one machine, and the processes they are made of.

`ray.cluster_utils.Cluster` starts a raylet for each machine, whose GPUs are only counted. A process
has one connection to Ray at a time, so clusters follow each other.
"""

import os
import subprocess
import sys
import time

import psutil

from pipeline.search.executors.base import EpochDone
from pipeline.training.messages import TrialSpec
from tests.conftest import ROOT


def spec(uid, *, epochs=2, model_file=None, **settings):
    hyperparameters = {"cut": "block4", "top": 0.5, **settings}
    return TrialSpec(
        uid=uid, hyperparameters=hyperparameters, seed=1, epochs=epochs, model_file=model_file
    )


def until_running(executor, *uids, seconds=60):
    """Returns the process ids of these trials, of which none gets beyond its first epoch before."""
    waiting, deadline = [], time.monotonic() + seconds
    while not set(uids) <= executor.pids.keys() and time.monotonic() < deadline:
        waiting += executor.wait(0.1)
    assert all(isinstance(event, EpochDone) for event in waiting), waiting
    for event in waiting:
        executor.answer(event.uid, stop=False)
    return [executor.pids[uid] for uid in uids]


def last_events(executor, count, *, stop=False, seconds=60):
    """Answers epochs until `count` trials have ended; returns their last events by uid."""
    ended, deadline = {}, time.monotonic() + seconds
    while len(ended) < count and time.monotonic() < deadline:
        for event in executor.wait(0.5):
            if isinstance(event, EpochDone):
                executor.answer(event.uid, stop=stop)
            else:
                ended[event.uid] = event
    return ended


def soon(executor, *, num_free, seconds=30):
    """Whether a cluster gets as much room within some seconds."""
    deadline = time.monotonic() + seconds
    while executor.num_free != num_free and time.monotonic() < deadline:
        executor.wait(0.1)
    return executor.num_free == num_free


def ends_within(seconds, *pids):
    """Whether processes end within some seconds."""
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


DRIVER = """
import sys
from pipeline.processes import listen, raise_received
from pipeline.search.executors import ray_cluster
from pipeline.search.executors.ray import RayExecutor
from pipeline.training.data import DataReference
from tests.search.executors.cut_double import train
from tests.search.executors.ray_clusters import spec, until_running

if __name__ == "__main__":
    listen()
    ray_cluster.PATIENCE_SECONDS = 2.0
    address, features, train_file = sys.argv[1:]
    data = DataReference(features=features, train_file=train_file)
    with RayExecutor(address, max_trials=1, train=train) as executor:
        executor.submit(spec("killed", epochs=600, epoch_seconds=1.0), data)
        print(*until_running(executor, "killed"), flush=True)
        while True:
            raise_received()
            for event in executor.wait(0.5):
                executor.answer(event.uid, stop=False)
"""


def start_driver(address, data):
    """Starts a driver in a process group of its own; returns it and its trial's process id."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, address, data.features, data.train_file],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pid = driver.stdout.readline()
    assert pid, driver.stderr.read()
    return driver, int(pid)


def cluster_processes(driver):
    """The processes of a driver's own cluster, and apart from them the raylet's two agents."""
    processes = psutil.Process(driver.pid).children(recursive=True)
    agents = [process for process in processes if is_agent(process)]
    return [process for process in processes if process not in agents], agents


def is_agent(process):
    # By its arguments until it has given itself a name.
    named = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "dashboard/agent.py", "agent/main.py")
    arguments = process.cmdline()
    return process.name() != "raylet" and any(arg.strip().endswith(named) for arg in arguments)
