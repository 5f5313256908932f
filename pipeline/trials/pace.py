"""How long a search will take to its target, as a range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NORMAL_QUANTILE = 1.28
"""Of 80% on both sides."""
FEWEST = 3
"""Trainings that must have ended, from which on a range is given."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Trainings that are to be done, or were.

    Attributes:
        num_trainings: How many, on whatever rung.
        whole: Whole trainings that they amount to, by their gradient steps.
    """

    num_trainings: int
    whole: float


def time_left(
    seconds: Sequence[float], shares: Sequence[float], *, left: Work
) -> tuple[float, float] | None:
    """Returns a range that is to hold the time to the target in about four of five cases.

    A training takes some time whatever its length, and some for its gradient steps; how much of
    each is known only when rungs of several lengths have had some trainings. So two fits by least
    squares are taken, time that goes with the steps alone and a line, and the range is from the
    lower end of one to the upper end of the other, each that of a sum of predictions (Draper and
    Smith 1998, Applied Regression Analysis, 3rd ed., section 3.1).

    Args:
        seconds: Between the end of each training and the one before, of all workers.
        shares: Of the same trainings, what each was given of a whole one, in (0, 1].
        left: What is still to be done.

    Returns:
        Seconds, the shorter time first; None while too few have ended.
    """
    if len(seconds) < FEWEST:
        return None
    count, whole = max(0, left.num_trainings), max(0.0, left.whole)
    ends = [
        *_range(seconds, [[share] for share in shares], [whole], count),
        *_range(seconds, [[1.0, share] for share in shares], [count, whole], count),
    ]
    return max(0.0, min(ends)), max(0.0, *ends)


def _range(
    seconds: Sequence[float], known: Sequence[Sequence[float]], wanted: Sequence[float], count: int
) -> tuple[float, float]:
    """Returns the range of a sum of `count` predictions, whose terms sum to `wanted`."""
    import numpy as np

    terms, found = np.array(known), np.array(wanted)
    inverse = np.linalg.pinv(terms.T @ terms)
    line = inverse @ terms.T @ seconds
    residuals = np.asarray(seconds) - terms @ line
    variance = residuals @ residuals / max(1, len(seconds) - int(np.linalg.matrix_rank(terms)))
    middle = float(found @ line)
    half = NORMAL_QUANTILE * math.sqrt(variance * (count + found @ inverse @ found))
    return middle - half, middle + half
