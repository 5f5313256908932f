"""Runs a stage that sends itself a signal at a named point, the first time that it gets there.

    python -m testing.faults POINT SIGNAL search scratch

Everything is the real thing but the training, which takes no time and needs no TensorFlow: its
values follow from the hyperparameters and the seed alone. At the point `none` nothing happens, and
at the point `hang` some trials never end.
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

from pipeline.training.messages import EpochRecord, TrialResult

EPOCH_SECONDS = 0.02


def train(spec, data, report):
    """A training whose every epoch can be told in advance."""
    value = 0.0
    for epoch in range(spec.epochs):
        time.sleep(EPOCH_SECONDS)
        text = f"{sorted(spec.hyperparameters.items())} {spec.seed} {epoch}"
        value = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
        metrics = {"val_accuracy": value, "loss": 1.0 - value}
        if report(EpochRecord(epoch=epoch, metrics=metrics)):
            return _result("stopped", epoch, value)
    return _result("complete", spec.epochs - 1, value)


def train_or_hang(spec, data, report):
    """The same, but three hidden layers never come back from their second epoch."""
    if spec.hyperparameters["num_layers"] != 3:
        return train(spec, data, report)
    report(EpochRecord(epoch=0, metrics={"val_accuracy": 0.5}))
    while True:
        time.sleep(1)


def _result(outcome, epoch, value):
    return TrialResult(
        outcome=outcome,
        best_epoch=epoch,
        metrics={"val_accuracy": value},
        num_parameters=1,
        num_epochs=epoch + 1,
        seconds=0.1,
    )


class Fault:
    """Sends the signal when it is called for the `nth` time, and never again."""

    def __init__(self, signum, nth):
        self._signum = signum
        self._left = nth

    def __call__(self):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signum)


def before(owner, name, fault):
    """Makes the fault happen before a method's work is done."""
    original = getattr(owner, name)

    def faulty(*args, **kwargs):
        fault()
        return original(*args, **kwargs)

    setattr(owner, name, faulty)


def after(owner, name, fault):
    """Makes the fault happen after a method's work is done."""
    original = getattr(owner, name)

    def faulty(*args, **kwargs):
        result = original(*args, **kwargs)
        fault()
        return result

    setattr(owner, name, faulty)


def before_replacing(file, fault):
    """Makes the fault happen when a file of that name is whole and about to get its name."""
    original = os.replace

    def faulty(source, target, *args, **kwargs):
        if Path(target).name == file:
            fault()
        return original(source, target, *args, **kwargs)

    os.replace = faulty


def points():
    """Where a fault can be: name -> the function that puts it there."""
    import optuna

    from pipeline.records.mirror.runs import StudyRuns
    from pipeline.search.attempts import Attempts
    from pipeline.search.engine import Engine
    from pipeline.search.proposals import Proposals
    from pipeline.trials import study as results

    return {
        "after-ask": lambda fault: after(optuna.Study, "ask", fault),
        "after-proposal": lambda fault: after(Proposals, "ask", fault),
        "after-promotion": lambda fault: after(Proposals, "promote", fault),
        "mid-epoch": lambda fault: after(Attempts, "keep_epoch", fault),
        "after-fit": lambda fault: before(Engine, "_on_done", fault),
        "before-tell": lambda fault: before(optuna.Study, "tell", fault),
        "after-tell": lambda fault: after(optuna.Study, "tell", fault),
        "before-record": lambda fault: before(Attempts, "_end", fault),
        "between-files": lambda fault: before(results, "_write_table", fault),
        "mid-file": lambda fault: before_replacing("study.json", fault),
        "mid-artifact": lambda fault: before(StudyRuns, "log_artifacts", fault),
    }


POINTS = (
    "after-ask",
    "after-proposal",
    "after-promotion",
    "mid-epoch",
    "after-fit",
    "before-tell",
    "after-tell",
    "before-record",
    "between-files",
    "mid-file",
    "mid-artifact",
)
ONCE = ("after-promotion", "between-files", "mid-file", "mid-artifact")


def main(point, signum, *arguments):
    """Runs `python -m pipeline ARGUMENTS` with a fault, or without one where the point is none."""
    from pipeline import __main__
    from pipeline.search.executors import local

    original = local.LocalExecutor.__init__

    def without_tensorflow(self, *args, **kwargs):
        given = train_or_hang if point == "hang" else train
        original(self, *args, **{**kwargs, "train": given})

    local.LocalExecutor.__init__ = without_tensorflow
    # A stage has TensorFlow imported for its workers early, and these need none.
    local.prepare = lambda: None
    if point not in ("none", "hang"):
        points()[point](Fault(getattr(signal, signum), 1 if point in ONCE else 3))
    return __main__.main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
