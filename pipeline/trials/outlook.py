"""What a study would do with more time, and what to expect of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from pipeline.trials.ranking import by_rung
from pipeline.trials.record import TrialRecord

FEWEST = 6
"""Complete trials of the lowest rung, from which on something is said."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a search would do with more time.

    Attributes:
        num_more: Further trainings on each rung, the lowest first.
        rung: What the lowest rung is called, such as `1/9 of a training`.
        gain: By how much at most the best value of that rung is expected to become better.
    """

    num_more: Sequence[int]
    rung: str
    gain: float

    def sentence(self, measure: str) -> str:
        """Returns it in words.

        Args:
            measure: What the search optimizes, in words.
        """
        first, *others = self.num_more
        on = f", of which {', '.join(map(str, others))} would go on" if others else ""
        less = ", less on whole trainings" if others else ""
        return (
            f"about {first} more configurations{on}; expected gain in {measure}: at most "
            f"{self.gain:.4f} on {self.rung}{less}"
        )


def outlook(trials: Sequence[TrialRecord], direction: str, *, seconds: float) -> Outlook | None:
    """Returns what a search would do with more time, if it went on as it did.

    Among n values, the best of k drawn without replacement has a mean that is a sum over order
    statistics (David and Nagaraja 2003, Order Statistics, 3rd ed., section 3.7). So what the last
    configurations added is the best of all less the mean best of as many fewer, and as many more
    add about as much or less wherever the tail of the values is no heavier than exponential. A
    sampler that has learnt may do better than that, and whole trainings lie closer together.

    Args:
        trials: All of the study.
        direction: Where better lies, in Optuna's words.
        seconds: Further wall-clock time of the search.

    Returns:
        None where too few have ended.
    """
    rungs, taken = by_rung(trials, direction), _wall_seconds(trials)
    sign = 1.0 if direction == "maximize" else -1.0
    lowest = min((rung.share for rung in rungs), default=1.0)
    values = sorted(
        sign * value
        for trial in trials
        if trial.state == "COMPLETE" and trial.share == lowest
        if (value := trial.finite_value) is not None
    )
    if len(values) < FEWEST or not taken:
        return None
    fewer = max(1, round(len(values) * taken / (taken + seconds)))
    return Outlook(
        num_more=[round(rung.num_finished * seconds / taken) for rung in rungs],
        rung=rungs[0].name,
        gain=values[-1] - _mean_best(values, fewer),
    )


def _mean_best(values: Sequence[float], count: int) -> float:
    """Returns the mean of the best of some values that are drawn without replacement.

    >>> _mean_best([1.0, 2.0, 3.0], 2)  # of the pairs 12, 13, 23
    2.6666666666666665
    """
    return sum(
        value * comb(below, count - 1) / comb(len(values), count)
        for below, value in enumerate(values)
    )


def _wall_seconds(trials: Sequence[TrialRecord]) -> float:
    """Returns the time in which anything was being trained."""
    spans = sorted(
        (one.started, one.ended) for one in trials if one.started is not None and one.ended
    )
    total, until = 0.0, None
    for began, ended in spans:
        start = began if until is None or began > until else until
        if until is None or ended > until:
            total += (ended - start).total_seconds()
            until = ended
    return total
