"""Where MLflow says something else than the study: a comparison, trial by trial, that is pure.

The study is the record, MLflow its mirror. `compare` finds every difference; `reconcile` removes
them. Each trial has exactly one run, whose status, hyperparameters, value, metrics after each epoch
and metrics of the end are the trial's own. What else MLflow has, such as a metric of the system or
tags of a user, is none of the study's.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.records.mirror.expected_run import (
    INACTIVE,
    STATUS_OF_STATE,
    RunRecord,
    curves_of,
    summary_of,
)
from pipeline.trials.record import TrialRecord, only_finite

Kind = Literal[
    "missing",
    "confirmation",
    "doubled",
    "extra",
    "status",
    "hyperparameters",
    "value",
    "epochs",
    "metrics",
    "stale",
]
HEADERS = ("trial", "differs in", "study", "MLflow", "run")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that the study and MLflow disagree about.

    Attributes:
        number: The trial's, or None where the run belongs to no trial.
        kind: `missing`: no run; `confirmation`: no finished run of a training of `confirm`;
            `doubled`: a further run of the same trial; `extra`: a run without a trial; `stale`:
            RUNNING, but the process that ran it is dead; else the field.
        expected: What the study says.
        found: What MLflow says.
        run_id: The run, or empty if there is none.
        is_conflict: MLflow holds something that is wrong, not only too little: its metrics and
            parameters cannot be taken back, so the run has to be replaced.
    """

    number: int | None
    kind: Kind
    expected: str
    found: str
    run_id: str = ""
    is_conflict: bool = False


def compare(
    trials: Sequence[TrialRecord],
    runs: Iterable[RunRecord],
    *,
    metric: str,
    is_driver_alive: bool = False,
) -> list[Difference]:
    """Returns every difference, by trial number; an empty list proves them equal.

    Args:
        trials: All trials of a study.
        runs: The study's runs, its parent included.
        metric: The objective's name among an epoch's metrics.
        is_driver_alive: Whether a process is still working on this study, so that a RUNNING parent
            or confirmation run is the truth.
    """
    by_number: dict[int | None, list[RunRecord]] = defaultdict(list)
    differences: list[Difference] = []
    for run in runs:
        if run.role == "trial":
            by_number[run.number].append(run)
        elif run.role and run.status == "RUNNING" and not is_driver_alive:
            differences.append(_stale(run))
    for trial in sorted(trials, key=lambda trial: trial.number):
        found = by_number.pop(trial.number, [])
        if trial.state in STATUS_OF_STATE:
            differences += _of_trial(trial, found, metric)
        else:
            differences += [_extra(run) for run in found]
    return differences + [_extra(run) for extra in by_number.values() for run in extra]


def table(differences: Sequence[Difference]) -> str:
    """Returns differences as aligned text, one a line below a heading."""
    rows = [
        HEADERS,
        *(
            ("-" if d.number is None else str(d.number), d.kind, d.expected, d.found, d.run_id)
            for d in differences
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _of_trial(trial: TrialRecord, runs: Sequence[RunRecord], metric: str) -> list[Difference]:
    number = trial.number
    if not runs:
        return [Difference(number=number, kind="missing", expected=trial.state, found="no run")]
    # The run with the most in it is kept: another one is what a retried request left behind.
    kept, *others = sorted(runs, key=lambda r: len(r.curves.get(metric, ())), reverse=True)
    doubled = [
        Difference(
            number=number,
            kind="doubled",
            expected="one run",
            found=f"{len(runs)} runs",
            run_id=run.run_id,
        )
        for run in others
    ]
    checks = (
        _status(trial, kept),
        _hyperparameters(trial, kept),
        _value(trial, kept),
        _epochs(trial, kept, metric),
        _summary(trial, kept, metric),
    )
    return doubled + [difference for difference in checks if difference is not None]


def _status(trial: TrialRecord, run: RunRecord) -> Difference | None:
    expected = STATUS_OF_STATE[trial.state]
    if run.status == expected:
        return None
    return Difference(
        number=trial.number,
        kind="status",
        expected=f"{trial.state} ({expected})",
        found=run.status,
        run_id=run.run_id,
    )


def _hyperparameters(trial: TrialRecord, run: RunRecord) -> Difference | None:
    expected = trial.texts
    # What does not apply is written at the end of a search, and by earlier releases not at all.
    found = {
        name: text
        for name, text in run.hyperparameters.items()
        if text != INACTIVE or name in expected
    }
    names = [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
    if not names:
        return None
    return Difference(
        number=trial.number,
        kind="hyperparameters",
        expected=", ".join(f"{name}={expected.get(name, '(none)')}" for name in names),
        found=", ".join(f"{name}={found.get(name, '(none)')}" for name in names),
        run_id=run.run_id,
        is_conflict=any(name in found for name in names),
    )


def _value(trial: TrialRecord, run: RunRecord) -> Difference | None:
    expected = None if trial.state == "RUNNING" else trial.finite_value
    found = run.metrics.get("value")
    found = None if found is None or not math.isfinite(found) else found
    if found == expected:
        return None
    return Difference(
        number=trial.number,
        kind="value",
        expected=str(expected),
        found=str(found),
        run_id=run.run_id,
        is_conflict=found is not None,
    )


def _epochs(trial: TrialRecord, run: RunRecord, metric: str) -> Difference | None:
    curves = curves_of(trial, metric=metric)
    found = {name: _curve(points, run, name) for name, points in curves.items()}
    problems = [f"{name} {text}" for name, (text, _) in found.items() if text]
    if not problems:
        return None
    return Difference(
        number=trial.number,
        kind="epochs",
        expected=f"{max(len(points) for points in curves.values())} epochs",
        found="; ".join(problems),
        run_id=run.run_id,
        is_conflict=any(is_conflict for _, is_conflict in found.values()),
    )


def _curve(expected: Mapping[int, float], run: RunRecord, name: str) -> tuple[str, bool]:
    """Says what is wrong with a curve, empty if nothing is, and whether that is a conflict."""
    if name in run.metrics and name not in run.curves:
        # Its history was not asked for. Epochs are written in order, so the last one is missed.
        found_last, last = run.metrics[name], [*expected.values()][-1:]
        is_last = not last or not math.isfinite(found_last) or found_last == last[0]
        return "" if is_last else f"ends with {found_last}", False
    points = run.curves.get(name, ())
    # A study holds no NaN; runs of earlier releases do.
    found = only_finite(points)
    wrong = [epoch for epoch, value in found.items() if expected.get(epoch) != value]
    doubled = len(points) - len({epoch for epoch, _ in points})
    missing = sorted(expected.keys() - found.keys())
    parts = (
        f"wrong at {_listed(wrong)}" if wrong else "",
        f"{doubled} doubled" if doubled else "",
        f"none at {_listed(missing)}" if missing else "",
    )
    return ", ".join(part for part in parts if part), bool(wrong or doubled)


def _summary(trial: TrialRecord, run: RunRecord, metric: str) -> Difference | None:
    expected = summary_of(trial, metric=metric)
    names = [name for name, value in expected.items() if run.metrics.get(name) != value]
    if not names:
        return None
    return Difference(
        number=trial.number,
        kind="metrics",
        expected=", ".join(f"{name}={expected[name]}" for name in names),
        found=", ".join(f"{name}={run.metrics.get(name, '(none)')}" for name in names),
        run_id=run.run_id,
        is_conflict=any(name in run.metrics for name in names),
    )


def _extra(run: RunRecord) -> Difference:
    return Difference(
        number=run.number, kind="extra", expected="no trial", found=run.status, run_id=run.run_id
    )


def _stale(run: RunRecord) -> Difference:
    return Difference(
        number=run.number,
        kind="stale",
        expected="ended",
        found=f"{run.role} RUNNING",
        run_id=run.run_id,
    )


def _listed(epochs: Sequence[int]) -> str:
    shown = ", ".join(str(epoch) for epoch in epochs[:5])
    return f"{shown}, ..." if len(epochs) > 5 else shown
