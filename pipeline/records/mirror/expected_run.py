"""The run in MLflow that a trial should have; pure, and free of both libraries."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.trials.record import TrialRecord, only_finite

# MLflow's own mapping; a waiting trial has no run yet.
STATUS_OF_STATE = {
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
    "RUNNING": "RUNNING",
}


INACTIVE: Final = "-"
"""A run's parameter that does not apply to its configuration, such as `momentum` with adam.

MLflow's UI leaves a run out of a comparison where it lacks a parameter that others have.
"""


def conditional_names(trials: Iterable[TrialRecord]) -> list[str]:
    """Returns every hyperparameter that some trial of a study has, in order."""
    return sorted({name for trial in trials for name in trial.hyperparameters})


def hyperparameter_texts(trial: TrialRecord, names: Iterable[str]) -> dict[str, str]:
    """Returns a trial's hyperparameters as its run should have them once the study is over.

    A trial that was cut off before it had its hyperparameters says nothing of the others.

    >>> hyperparameter_texts(
    ...     TrialRecord(number=0, state="COMPLETE", hyperparameters={"optimizer": "adam"}),
    ...     ["momentum", "optimizer"],
    ... )
    {'momentum': '-', 'optimizer': 'adam'}

    Args:
        trial: A trial.
        names: As from `conditional_names`.
    """
    others = names if trial.hyperparameters else ()
    return {**dict.fromkeys(others, INACTIVE), **trial.texts}


def curves_of(trial: TrialRecord, *, metric: str) -> dict[str, dict[int, float]]:
    """Returns a trial's epochs by metric: name -> epoch -> value, without what is not finite.

    Args:
        trial: A trial; one whose driver was killed has the objective only.
        metric: As for `TrialRecord.epochs`; always among the names.
    """
    epochs = trial.epochs(metric=metric)
    names = {metric: None, **{name: None for epoch in epochs for name in epoch.metrics}}
    return {
        name: only_finite((epoch.epoch, epoch.metrics.get(name)) for epoch in epochs)
        for name in names
    }


def summary_of(trial: TrialRecord, *, metric: str) -> dict[str, float]:
    """Returns what was measured once, under the names that MLflow has it; only what is finite.

    Args:
        trial: A trial; nothing is known of one that runs.
        metric: As for `TrialRecord.epochs`.
    """
    if trial.state == "RUNNING":
        return {}
    named = beside_curves(trial.metrics, curves_of(trial, metric=metric))
    return {name: value for name, value in named.items() if math.isfinite(value)}


def beside_curves(metrics: Mapping[str, float], curves: Collection[str]) -> dict[str, float]:
    """Names what was measured at the end so that it is no further point of a curve.

    >>> beside_curves({"val_accuracy": 0.75, "best_epoch": 1.0}, ["loss", "val_accuracy"])
    {'best_val_accuracy': 0.75, 'best_epoch': 1.0}
    """
    return {f"best_{name}" if name in curves else name: v for name, v in metrics.items()}


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What MLflow holds about one run of a study.

    Attributes:
        run_id: MLflow's own.
        role: `study` (the parent), `trial`, or what else a stage trained, such as `confirm`.
        number: The trial's; None for a parent.
        status: RUNNING, FINISHED, KILLED, FAILED or SCHEDULED.
        hyperparameters: Its logged parameters, as text.
        metrics: The last value of each of its metrics.
        curves: The history of its metrics, of some or of all: (epoch, value), as often as it was
            logged.
    """

    run_id: str
    role: str
    number: int | None
    status: str
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
