"""Loses the cluster of its own that trials run on, and goes on: `python -m ... NAME FEATURES FILE`.

To be run with process 1 as its parent, as in a container: then Ray ends a process that speaks to
its raylet after that one died, unless `build_executor` has told it otherwise.
"""

import sys

from pipeline.config import read_document
from pipeline.tuning.executors.base import TrialDone, TrialLost
from pipeline.tuning.executors.build import build_executor
from pipeline.tuning.params import SearchParams
from pipeline.tuning.records import DataReference
from tests.conftest import ROOT
from tests.tuning.executors.cut_double import train
from tests.tuning.executors.ray_clusters import (
    last_events,
    own_process,
    soon,
    spec,
    until_running,
)


def main(name, features, train_file):
    """Kills the process of Ray that has this name while a trial runs, and trains another one."""
    cut = DataReference(features=features, train_file=train_file)
    section = {**read_document(ROOT / "params.yaml")["search"], "executor": "ray", "workers": 2}
    with build_executor(SearchParams.model_validate(section), train=train) as executor:
        executor.submit(spec("l1", epochs=200, epoch_seconds=0.1), cut)
        until_running(executor, "l1")
        killed = own_process(name)
        killed.kill()
        lost = last_events(executor, 1)["l1"]
        assert isinstance(lost, TrialLost), lost
        assert lost.with_machine
        # Nothing is started before the cluster has been started again.
        assert executor.num_free == 0 or own_process(name) != killed
        assert soon(executor, num_free=2)
        executor.submit(spec("l2"), cut)
        assert isinstance(last_events(executor, 1)["l2"], TrialDone)
    print("went on", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
