"""What a study would do with more time, and what to expect of it."""

from __future__ import annotations

import math
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
        num_more: Further trainings on each rung, the lowest first; at least one on that.
        rung: What the lowest rung is called, such as `1/9 of a training`.
        gain: By how much the best value of that rung is expected to become better, >= 0.
    """

    num_more: Sequence[int]
    rung: str
    gain: float

    def sentence(self, measure: str, gain: str) -> str:
        """Returns it in words, to go on with after who is given the time.

        Args:
            measure: What the search optimizes, in words.
            gain: The gain, as such values are written.
        """
        first, *others = self.num_more
        *most, last = map(str, others) if others else ("",)
        listed = f"{', '.join(most)} and {last}" if most else last
        on = f", of which {listed} would go on" if others else ""
        return (
            f"about {first} more configurations{on}; the best {measure} on {self.rung} is expected "
            f"to improve by {gain}"
        )


def outlook(trials: Sequence[TrialRecord], direction: str, *, seconds: float) -> Outlook | None:
    """Returns what a search would do with more time, if it went on as it did.

    Expected is what the time before brought: if the trials took t seconds, the best of all n values
    less the mean best of n t / (t + seconds) of them, drawn without replacement, which is a sum
    over order statistics (David and Nagaraja 2003, Order Statistics, 3rd ed., section 3.7).
    Wherever the tail of the values is no heavier than exponential, values drawn alike add no more
    than that on average; a sampler that learns may.

    Args:
        trials: All of the study.
        direction: Where better lies, in Optuna's words.
        seconds: Further wall-clock time of the search.

    Returns:
        None where too few have ended, or there is no time for another.
    """
    trained = [one for one in trials if one.is_finished and one.duplicate_of is None]
    rungs, taken = by_rung(trained, direction), wall_seconds(trained)
    sign = 1.0 if direction == "maximize" else -1.0
    values = sorted(
        sign * value
        for trial in trained
        if trial.state == "COMPLETE" and trial.share == rungs[0].share
        if (value := trial.finite_value) is not None
    )
    if len(values) < FEWEST or not taken:
        return None
    num_more = [round(rung.num_finished * seconds / taken) for rung in rungs]
    fewer = max(1, math.floor(len(values) * taken / (taken + seconds)))
    gain = max(0.0, values[-1] - _mean_best(values, fewer))
    return Outlook(num_more=num_more, rung=rungs[0].name, gain=gain) if num_more[0] else None


def _mean_best(values: Sequence[float], count: int) -> float:
    """Returns the mean of the best of some values that are drawn without replacement.

    Args:
        values: Rising.
        count: How many are drawn, from 1 to all.

    >>> _mean_best([1.0, 2.0, 3.0], 2)  # of the pairs 12, 13, 23
    2.6666666666666665
    """
    # Whole numbers first: they are larger than a float can be.
    return sum(
        value * (comb(below, count - 1) / comb(len(values), count))
        for below, value in enumerate(values)
    )


def wall_seconds(trials: Sequence[TrialRecord]) -> float:
    """Returns the seconds in which any of some trials was being trained; open ones have none."""
    spans = sorted((one.started, one.ended) for one in trials if one.started and one.ended)
    total, until = 0.0, None
    for began, ended in spans:
        start = began if until is None or began > until else until
        if until is None or ended > until:
            total += (ended - start).total_seconds()
            until = ended
    return total
