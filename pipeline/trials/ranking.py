"""Which trials of a study count, and which are best."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.trials.record import TrialRecord


def num_finished(trials: Iterable[TrialRecord]) -> int:
    """Counts what `search.trials` counts: configurations that gave a result, on whatever rung."""
    return sum(trial.is_finished and trial.promoted_from is None for trial in trials)


def ranked(trials: Iterable[TrialRecord], direction: str) -> list[TrialRecord]:
    """Returns the complete trials, best first, and of equals the earliest.

    Those of a higher rung come first: values of different rungs do not compare.

    Args:
        trials: Of a study.
        direction: `maximize` or `minimize`.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    return sorted(complete, key=lambda one: (-one.share, sign * (one.value or 0.0), one.number))


def best_trial(trials: Iterable[TrialRecord], direction: str) -> TrialRecord | None:
    """Returns the first of `ranked`; None if no trial is complete."""
    return next(iter(ranked(trials, direction)), None)
