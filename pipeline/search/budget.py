"""The time contract of a search: when it must end, and what it may still start."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable

from pipeline.errors import StudyError

GRACE_SECONDS = 3.0


class Deadline:
    """Knows how long epochs take, and what that leaves room for.

    After the limit every trial is asked to stop at its next epoch, and one that has none within
    the longest epoch seen so far (at least `GRACE_SECONDS`) is killed: the search ends by its limit
    plus one epoch.

    Args:
        limit_seconds: From now on; None is no limit.
        min_epochs: Epochs a trial needs before a pruner can judge it, >= 1.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        limit_seconds: float | None,
        *,
        min_epochs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._min_epochs = min_epochs
        self._end = None if limit_seconds is None else clock() + limit_seconds
        self._last: dict[str, float] = {}
        self._first_epochs: list[float] = []
        self._later_epochs: list[float] = []

    def trial_started(self, uid: str) -> None:
        """Takes note that a trial was handed to a worker."""
        self._last[uid] = self._clock()

    def epoch_ended(self, uid: str, epoch: int) -> None:
        """Takes note of an epoch's end; the first holds the worker's start-up too."""
        now = self._clock()
        durations = self._later_epochs if epoch else self._first_epochs
        durations.append(now - self._last.get(uid, now))
        self._last[uid] = now

    @property
    def is_over(self) -> bool:
        """Whether the limit has passed."""
        return self._end is not None and self._clock() >= self._end

    @property
    def is_overdue(self) -> bool:
        """Whether even trials that were asked to stop have had the time of an epoch."""
        if self._end is None:
            return False
        longest = max([GRACE_SECONDS, *self._later_epochs])
        return self._clock() >= self._end + longest

    def has_room(self) -> bool:
        """Whether a trial that starts now can be judged before the limit."""
        return self._end is None or self._clock() + self._rung_seconds() <= self._end

    def _rung_seconds(self) -> float:
        if not self._first_epochs:
            return 0.0
        later = statistics.median(self._later_epochs) if self._later_epochs else 0.0
        return statistics.median(self._first_epochs) + (self._min_epochs - 1) * later


class FailureStreak:
    """Counts trials that failed one after another.

    Args:
        limit: That many end the search, >= 1.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reasons: list[str] = []

    def clear(self) -> None:
        """Takes note of a trial that did not fail."""
        self._reasons.clear()

    def add(self, reason: str, *, has_traceback: bool) -> None:
        """Takes note of a trial that failed.

        Raises:
            StudyError: If it was one too many; the message holds their common cause.
        """
        self._reasons.append(reason)
        if len(self._reasons) < self._limit:
            return
        (cause, count), *_ = Counter(self._reasons).most_common()
        which = "all" if count == len(self._reasons) else f"{count} of them"
        where = " (its traceback is an artifact of the trial's MLflow run)" if has_traceback else ""
        raise StudyError(
            f"{len(self._reasons)} trials failed in a row, {which} with: {cause}{where}."
        )
