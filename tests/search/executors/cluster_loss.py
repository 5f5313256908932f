"""Loses the cluster of its own that trials run on, and goes on: `python -m ... NAME FEATURES FILE`.

In a process of its own, since Ray ends a process that speaks to its machine's raylet in the moment
between that one's death and our look at it.
"""

import sys
import time

from pipeline.search.executors.base import TrialDone, TrialLost
from pipeline.search.executors.ray import RayExecutor
from pipeline.training.data import DataReference
from tests.search.executors.cut_double import train
from tests.search.executors.ray_clusters import (
    last_events,
    own_process,
    soon,
    spec,
    until_running,
)


def main(name, features, train_file):
    """Kills the process of Ray that has this name while a trial runs, and trains another one."""
    cut = DataReference(features=features, train_file=train_file)
    with RayExecutor(max_trials=2, train=train) as executor:
        executor.submit(spec("l1", epochs=200, epoch_seconds=0.1), cut)
        until_running(executor, "l1")
        start, killed = time.monotonic(), own_process(name)
        killed.kill()
        print("killed", flush=True)
        lost = last_events(executor, 1)["l1"]
        assert isinstance(lost, TrialLost), lost
        assert lost.with_machine
        assert time.monotonic() - start < 40
        # Nothing is started before the cluster has been started again.
        assert executor.num_free == 0 or own_process(name) != killed
        assert soon(executor, num_free=2)
        executor.submit(spec("l2"), cut)
        assert isinstance(last_events(executor, 1)["l2"], TrialDone)
    print("went on", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
