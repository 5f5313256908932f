"""A trial as plain data, and what is read of it; free of Optuna and MLflow.

A trial is a dict as in `results/STUDY/study.json`: what `records.studies.trial_dict` gives.
Read here of its `user_attrs`: `trial_uid`; `epochs`, a list of `{"epoch", "metrics", "at_ms"}`;
`metrics`, those of the end; `traceback`; and what `TAGS` lists.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.hyperparameter import Value

if TYPE_CHECKING:
    pass

Trial = Mapping[str, Any]

# Attributes that the driver logs as tags.
TAGS = (
    "seed",
    "attempt",
    "retry_of",
    "duplicate_of",
    "taken_over_from",
    "code_sha256",
    "outcome",
    "reason",
)

TrialDict = dict[str, Any]
FINISHED = ("COMPLETE", "PRUNED")


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


def uid_of(trial: Trial, *, study_uid: str) -> str:
    """Returns the uid that the driver gave a trial, else the one that it would have given.

    >>> uid_of({"number": 7}, study_uid="0123456789abcdef")
    '0123456789ab-0007'
    """
    given = _attributes(trial).get("trial_uid")
    return str(given or f"{study_uid[:12]}-{trial['number']:04d}")


def hyperparameters_of(trial: Trial) -> dict[str, str]:
    """Returns a trial's hyperparameters as MLflow stores them: text.

    A trial that was killed right after it was asked for has only what Optuna had sampled.
    """
    values = trial.get("hyperparameters") or trial.get("params") or {}
    return {name: str(value) for name, value in values.items()}


def tags_of(trial: Trial) -> dict[str, str]:
    """Returns what else the driver tells of a trial, as tags; MLflow takes 8,000 characters."""
    found = {name: _attributes(trial).get(name) for name in TAGS}
    return {name: str(value)[:5000] for name, value in found.items() if value is not None}


def metrics_of(trial: Trial) -> dict[str, float]:
    """Returns what was measured once, at the end."""
    found = _attributes(trial).get("metrics") or {}
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
        trial: A trial. Where an earlier release was killed, its attribute `epochs` is missing, and
            of its epochs there is only what was reported.
        metric: The objective's name among an epoch's metrics.
    """
    reported = intermediate_values(trial)
    detailed = {int(entry["epoch"]): entry for entry in _attributes(trial).get("epochs") or []}
    start = start_ms(trial)
    duration = max(end_ms(trial) - start, 0)
    total = max([*reported, *detailed], default=-1) + 1
    return [
        Epoch(
            epoch=epoch,
            metrics={
                **detailed.get(epoch, {}).get("metrics", {}),
                **({metric: reported[epoch]} if epoch in reported else {}),
            },
            # Where the study holds no time, epochs are spread evenly: wrong by little, and the
            # same each time, so that writing twice doubles nothing.
            at_ms=detailed.get(epoch, {}).get("at_ms", start + duration * (epoch + 1) // total),
        )
        for epoch in sorted({*reported, *detailed})
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
    return 0 if stamp is None else round(datetime.fromisoformat(stamp).timestamp() * 1000)


def num_finished(trials: Iterable[TrialDict]) -> int:
    """Counts what `search.trials` counts: complete and pruned trials, diverged ones included."""
    return sum(trial["state"] in FINISHED for trial in trials)


def best_trial(trials: Iterable[TrialDict], direction: str) -> TrialDict | None:
    """Returns the best complete trial, the earliest of equals; None if there is none."""
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    if not complete:
        return None
    sign = -1.0 if direction == "maximize" else 1.0
    return min(complete, key=lambda trial: (sign * trial["value"], trial["number"]))


def canonical(values: Mapping[str, Value]) -> str:
    """Returns a text that is the same for the same values, whatever their order."""
    return json.dumps(dict(values), sort_keys=True)
