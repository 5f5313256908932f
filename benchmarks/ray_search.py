"""A search on a Ray cluster as a process of its own, which is killed from outside, and its verdict.

A real driver with a real study in SQLite; trainings are doubles of half a second, so that many
kills hit many trials.

Run: python -m benchmarks.ray_search FOLDER ADDRESS TRIALS SEED
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeline.search.queue import retire
from pipeline.training.messages import EpochRecord, Report, TrialResult, TrialSpec
from testing.search import search_params

ROOT = Path(__file__).parents[1]
NAME, IDENTITY = "kills-double", "a1" * 32
EPOCHS, EPOCH_SECONDS = 5, 0.1
# Bounds that no unlucky series of kills reaches; what is tested here is that nothing is lost.
MAX_RETRIES, MAX_FAILURES = 20, 60


def train(spec: TrialSpec, data: object, report: Report) -> TrialResult:
    """A training that takes half a second and is as good as its learning rate."""
    value = float(spec.hyperparameters["learning_rate"])
    for epoch in range(spec.epochs):
        time.sleep(EPOCH_SECONDS)
        report(EpochRecord(epoch=epoch, metrics={"val_accuracy": value}))
    return TrialResult(
        outcome="complete",
        best_epoch=spec.epochs - 1,
        metrics={"val_accuracy": value},
        num_parameters=1,
        num_epochs=spec.epochs,
        seconds=spec.epochs * EPOCH_SECONDS,
    )


class _Unrecorded:
    """Stands where MLflow is: what is counted here is in the study."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *told, **more: None


class _NoData:
    """Features that no training looks at."""

    def load_cut(self, cut: str, *, judge: str | None) -> Any:
        return np.zeros(1)

    def phase_2_starts(self, hyperparameters: object) -> list[str]:
        return []


def drive(folder: Path, *, address: str, trials: int, seed: int) -> None:
    """Runs or goes on with the search of a folder, as the stage `search` does."""
    import optuna

    from pipeline.config import read_document
    from pipeline.records.storage import open_storage
    from pipeline.records.studies import open_study
    from pipeline.search.distributions import FloatRange
    from pipeline.search.engine import Engine
    from pipeline.search.executors.ray import RayExecutor
    from pipeline.search.progress import Progress
    from pipeline.search.queue import close_orphans
    from pipeline.search.space import SearchSpace

    study = open_study(
        open_storage(folder),
        retire=retire,
        name=NAME,
        identity=IDENTITY,
        direction="maximize",
        attrs={"study_uid": IDENTITY},
    )
    study.pruner = optuna.pruners.NopPruner()
    close_orphans(study, max_retries=MAX_RETRIES, reason="the search was killed")
    space = SearchSpace(
        {"learning_rate": FloatRange(type="float", low=1e-4, high=1e-1, log=True)},
        {**read_document(ROOT / "params.yaml")["defaults"], "cut": "block4"},
    )
    params = search_params(
        trials=trials,
        epochs=EPOCHS,
        seed=seed,
        sampler="random",
        max_retries=MAX_RETRIES,
        max_failures=MAX_FAILURES,
    )
    with RayExecutor(address, max_trials=2, train=train) as executor:
        Engine(
            study,
            space,
            params,
            limit_seconds=None,
            executor=executor,
            recorder=_Unrecorded(),
            data=_NoData(),
            progress=Progress(trials, direction="maximize"),
        ).run()


@dataclass
class Search:
    """One search in a folder of its own, run by a process of its own."""

    folder: Path
    trials: int
    seed: int
    address: str = "local"
    kills: int = 0
    forgotten: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> psutil.Process:
        """Starts its driver, or the next one."""
        told = [self.folder, self.address, self.trials, self.seed]
        command = [sys.executable, "-m", "benchmarks.ray_search", *map(str, told)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        return psutil.Process(self.process.pid)

    @property
    def is_over(self) -> bool:
        """Whether its driver has ended."""
        return self.process.poll() is not None

    def finished(self) -> int:
        """How many trials are finished in its study."""
        return Counter(trial.state.name for trial in self._trials())["COMPLETE"]

    def _trials(self) -> list:
        import optuna

        from pipeline.records.storage import open_storage

        storage = open_storage(self.folder)
        if NAME not in optuna.get_all_study_names(storage):
            return []
        return optuna.load_study(study_name=NAME, storage=storage).trials

    def verdict(self) -> str:
        """Waits for its end and counts what came of it; `OK` only if nothing is wrong."""
        code = self.process.wait(timeout=300)
        trials = self._trials()
        states = Counter(trial.state.name for trial in trials)
        retries = [trial for trial in trials if "retry_of" in trial.user_attrs]
        tried_again = Counter(retry.user_attrs["retry_of"] for retry in retries)
        cut_off = [trial for trial in trials if trial.state.name == "FAIL"]
        wrong = {
            "missing": self.trials - states["COMPLETE"],
            "extra": len(trials) - self.trials - len(cut_off),
            "not tried again exactly once": sum(tried_again[t.number] != 1 for t in cut_off),
            "tried again otherwise": sum(
                not _same(trials[retry.user_attrs["retry_of"]], retry) for retry in retries
            ),
            "left RUNNING": states["RUNNING"],
            "finished and lost": self.forgotten,
            "exit code": code,
        }
        counts = ", ".join(f"{count} {what}" for what, count in wrong.items())
        return (
            f"{self.kills} kills, {len(cut_off)} attempts cut off, {states['COMPLETE']} of "
            f"{self.trials} finished; {counts}: {'WRONG' if any(wrong.values()) else 'OK'}"
        )


def _same(first: Any, second: Any) -> bool:
    # A trial cut off right after it was asked for has no hyperparameters yet.
    known = [key for key in ("hyperparameters", "seed") if key in first.user_attrs]
    return all(first.user_attrs[key] == second.user_attrs[key] for key in known)


if __name__ == "__main__":
    folder, address, trials, seed = sys.argv[1:]
    drive(Path(folder), address=address, trials=int(trials), seed=int(seed))
