"""What a trial of a study looks like in MLflow; pure, and free of both libraries.

A trial is a dict as in `results/STUDY/study.json`: what `pipeline.tuning.study.trial_dict` gives.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Trial = Mapping[str, Any]

# MLflow's own mapping; a waiting trial has no run yet.
STATUS_OF_STATE = {
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
    "RUNNING": "RUNNING",
}
# Attributes that the driver logs as tags and as metrics of the end, besides `metrics`.
TAGS = ("seed", "attempt", "retry_of", "outcome", "reason")
METRICS = ("best_epoch", "num_epochs", "num_parameters", "training_seconds")


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The metrics of one epoch.

    Attributes:
        epoch: Counted from 0.
        metrics: By name.
        at_ms: When it ended, milliseconds since 1970.
    """

    epoch: int
    metrics: Mapping[str, float]
    at_ms: int


def uid_of(trial: Trial, *, study_name: str, identity: str) -> str:
    """Returns the uid that the driver gave a trial, else the one that it would have given.

    >>> uid_of({"number": 7}, study_name="digits-transfer", identity="0123abcd4567")
    'digits-transfer-0123abcd-7'
    """
    given = _attributes(trial).get("uid")
    return str(given or f"{study_name}-{identity[:8]}-{trial['number']}")


def hyperparameters_of(trial: Trial) -> dict[str, str]:
    """Returns a trial's hyperparameters as MLflow stores them: text.

    A trial that was killed right after it was asked for has only what Optuna had sampled.
    """
    values = trial.get("hyperparameters") or trial.get("params") or {}
    return {name: str(value) for name, value in values.items()}


def tags_of(trial: Trial) -> dict[str, str]:
    """Returns what else the driver tells of a trial, as tags."""
    found = {name: _attributes(trial).get(name) for name in TAGS}
    return {name: str(value) for name, value in found.items() if value is not None}


def metrics_of(trial: Trial) -> dict[str, float]:
    """Returns what was measured once, at the end."""
    attributes = _attributes(trial)
    found = {
        **(attributes.get("metrics") or {}),
        **{name: attributes.get(name) for name in METRICS},
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def traceback_of(trial: Trial) -> str | None:
    """Returns why a trial failed, as Python printed it, or None."""
    text = _attributes(trial).get("traceback")
    return None if text is None else str(text)


def value_of(trial: Trial) -> float | None:
    """Returns a trial's value, or None if it has none or a non-finite one."""
    value = trial.get("value")
    return None if value is None or not math.isfinite(value) else float(value)


def intermediate_values(trial: Trial) -> dict[int, float]:
    """Returns what was reported after each epoch; only finite values are."""
    values = trial.get("intermediate_values", {}).items()
    return only_finite((int(epoch), value) for epoch, value in values)


def only_finite(points: Iterable[tuple[int, float | None]]) -> dict[int, float]:
    """Returns points by epoch, in order, without those that no study holds: NaN and infinite."""
    return {e: float(v) for e, v in sorted(points) if v is not None and math.isfinite(v)}


def epochs_of(trial: Trial, *, metric: str) -> list[Epoch]:
    """Returns all that a study holds about a trial's epochs, in order.

    Args:
        trial: A trial; its attribute `history` holds every metric of every epoch once it has
            ended, and what was reported is there in any case.
        metric: The objective's name among an epoch's metrics.
    """
    reported = intermediate_values(trial)
    history = dict(enumerate(_attributes(trial).get("history") or []))
    start = start_ms(trial)
    duration = max(end_ms(trial) - start, 0)
    total = max([*reported, *history], default=-1) + 1
    return [
        Epoch(
            epoch=epoch,
            metrics={
                **history.get(epoch, {}),
                **({metric: reported[epoch]} if epoch in reported else {}),
            },
            # The study holds no times of epochs. Spread evenly they are wrong by little, and the
            # same each time, so that writing twice doubles nothing.
            at_ms=start + duration * (epoch + 1) // total,
        )
        for epoch in sorted({*reported, *history})
    ]


def start_ms(trial: Trial) -> int:
    """Returns when a trial started, milliseconds since 1970."""
    return _milliseconds(trial.get("datetime_start") or trial.get("datetime_complete"))


def end_ms(trial: Trial) -> int:
    """Returns when a trial ended, milliseconds since 1970."""
    return _milliseconds(trial.get("datetime_complete") or trial.get("datetime_start"))


def _attributes(trial: Trial) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = trial.get("user_attrs", {})
    return attributes


def _milliseconds(stamp: str | None) -> int:
    # Optuna's times are local and have no zone; `timestamp` reads such a time as local.
    return 0 if stamp is None else int(datetime.fromisoformat(stamp).timestamp() * 1000)
