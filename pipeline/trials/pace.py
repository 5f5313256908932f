"""How long a search will take to its target, as a range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

NORMAL_QUANTILE = 1.28
"""Of 80% on both sides."""
DRIFT = 0.1
"""Standard deviation of the pace that comes about the pace so far, as a share of it.

A sampler that learns turns to configurations that take longer, or less long, and a machine has
other things to do. Of 2756 ranges over 27 recorded searches 86% held the truth, 82% without it; of
those in a search's third quarter 77%, 69% without it (2026-11-29, `benchmarks/time_left.py`)."""
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
    ends: Sequence[float], shares: Sequence[float], *, began: float | None, now: float, left: Work
) -> tuple[float, float] | None:
    """Returns a range that is to hold the time to the target in about four of five cases.

    A training takes some time whatever its length, and some for its gradient steps; how much of
    each is known only when rungs of several lengths have had some trainings. So two fits by least
    squares are taken, time that goes with the steps alone and a line, and the range is from the
    lower end of one to the upper end of the other, each that of a sum of predictions (Draper and
    Smith 1998, Applied Regression Analysis, 3rd ed., section 3.1), and of a pace that drifts.
    What is counted is the time between the end of a training and that of the one before, of
    whatever worker.

    Args:
        ends: When each training ended, seconds, rising.
        shares: Of the same trainings, what each was given of a whole one, in (0, 1].
        began: When the first of them began; None: unknown, and the first end is where time begins.
        now: The present, in the same seconds.
        left: What is still to be done.

    Returns:
        Seconds from now on, the shorter time first, below 0 where it has passed; None while too few
        have ended, and where nothing is left.
    """
    times = [*ends] if began is None else [began, *ends]
    seconds = [after - before for before, after in pairwise(times)]
    shares = list(shares)[len(shares) - len(seconds) :]
    if len(seconds) < FEWEST or left.num_trainings < 1:
        return None
    count, whole = left.num_trainings, left.whole
    found = [
        *_range(seconds, [[share] for share in shares], [whole], count),
        *_range(seconds, [[1.0, share] for share in shares], [count, whole], count),
    ]
    passed = now - times[-1]
    return min(found) - passed, max(found) - passed


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
    variance *= count + found @ inverse @ found
    half = NORMAL_QUANTILE * math.sqrt(variance + (DRIFT * middle) ** 2)
    return middle - half, middle + half
