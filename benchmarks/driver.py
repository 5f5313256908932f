"""What the search driver costs per trial, as a study grows: asking, keeping epochs, telling.

A search with rungs whose trainings take no time, of the project's own baseline space, with TPE,
real worker processes, a real study in SQLite and real runs in MLflow. Printed are the median
seconds of each step over the trials up to each size, and how many workers a driver can so keep busy
with trainings of 2 seconds.

Run: python -m benchmarks.driver [--trials 1000]
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.tracking_outage import NAME, opened_runs, opened_study
from pipeline.config import read_document
from pipeline.records.mirror.thread import Mirror
from pipeline.search.attempts import Attempts
from pipeline.search.engine import Engine
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.progress import Progress
from pipeline.search.pruners import build_pruner
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from testing import faults
from testing.search import PARAMS, search_params

SIZES = (10, 30, 100, 300, 1000)
TRAINING_SECONDS = 2.0
STEPS = {"ask": (Engine, "_next"), "epoch": (Attempts, "keep_epoch"), "tell": (Attempts, "finish")}


class Stopwatch:
    """Notes how long methods take, with the number of calls of the first before each."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def watch(self, step: str, owner: type, name: str) -> None:
        """Replaces a method by itself with the clock running."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            found = method(*args, **kwargs)
            took = time.perf_counter() - start
            if found is not None or step != "ask":
                self.seconds[step].append((len(self.seconds["tell"]), took))
            return found

        setattr(owner, name, timed)

    def median(self, step: str, size: int) -> float:
        """Returns the median over the trials from a third of a size on."""
        found = [took for at, took in self.seconds[step] if size / 3 <= at <= size]
        return statistics.median(found) if found else float("nan")


def search(root: Path, num_trials: int) -> None:
    """Runs a search of so many configurations, and what goes on from them."""
    document = read_document(PARAMS)
    params = search_params(trials=num_trials, rungs=3, seed=1, sampler="tpe", workers=2)
    study = opened_study(root)
    study.pruner = build_pruner(params.pruner, epochs=params.epochs, has_rungs=True)
    defaults = {**document["defaults"], "cut": "pixels"}
    space = SearchSpace.parse(document["studies"]["scratch"]["space"], defaults)
    with (
        LocalExecutor(2, train=faults.train) as workers,
        Mirror(opened_runs(root)) as recorder,
    ):
        Engine(
            study,
            space,
            params,
            limit_seconds=None,
            executor=workers,
            recorder=recorder,
            data=DataReference(features="", train_file=""),
            progress=Progress(num_trials, direction="maximize", num_rungs=params.num_rungs),
        ).run()


def main() -> None:
    """Runs a search and prints a line for each size of the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=690, help="configurations; 690 make 997")
    args = parser.parse_args()
    watch = Stopwatch()
    for step, (owner, name) in STEPS.items():
        watch.watch(step, owner, name)
    print(f"{NAME}: {machine()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        search(Path(folder), args.trials)
        total = time.perf_counter() - start
    count = len(watch.seconds["tell"])
    for size in SIZES:
        if size > count * 1.1:
            break
        ask, epoch, tell = (watch.median(step, size) for step in STEPS)
        busy = ask + 10 * epoch + tell
        print(
            f"{size:>5} trials: ask {ask:.3f} s, an epoch {epoch:.3f} s, tell {tell:.3f} s; "
            f"{TRAINING_SECONDS / busy:.0f} workers with trainings of 10 epochs in "
            f"{TRAINING_SECONDS:.0f} s"
        )
    print(f"{count} trainings in {total:.0f} s")


if __name__ == "__main__":
    main()
