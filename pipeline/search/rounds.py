"""Which training of a confirmation is next, and for which there is time.

First seeds of all candidates come before second ones, so that at any moment there is a winner.
Further ones go to the best so far first, so that where the confirmation has a time to end at, these
have them: a race, as of Birattari, Stützle, Paquete and Varrentrapp 2002, "A racing algorithm for
configuring metaheuristics". Means need not be over equally many seeds.

The first training is done however late it is, and another one if that diverges. Beside it, others
may be that end when it does: the cores are free until then, and several networks may be better than
one. A candidate that has diverged has no further seed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pipeline.search.candidates import Candidate
from pipeline.training.messages import TrialSpec

CAUTION: Final = 1.1
"""How many times what was foreseen a training may last, and still end in time."""

APART: Final = 1.0
"""Within so many seconds trainings are started that are handed out at the same time."""


class Rounds:
    """Hands out the trainings of a confirmation.

    Args:
        planned: The candidates, best first.
        kept: What each training reached that is over already, by uid; the larger the better, NaN
            if it diverged.
        ends: When all must have ended, in seconds of `clock`; None: all are done.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        planned: Sequence[Candidate],
        kept: Mapping[str, float],
        *,
        ends: float | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._ends = ends
        self._seconds = {
            spec.uid: _whole_seconds(candidate) for candidate in planned for spec in candidate.specs
        }
        self._planned = [*zip(*(candidate.specs for candidate in planned), strict=True)]
        self._first = {s.uid: one.specs[0].uid for one in planned for s in one.specs}
        self._reached: dict[str, list[float]] = {}
        self._diverged: set[str] = set()
        self._waiting: list[TrialSpec] = []
        self._ended = set(kept)
        for uid, reached in kept.items():
            self._note(uid, reached)
        self._tried = set(kept)
        self._started: dict[str, float] = {}
        self._running: set[str] = set()
        self._ratios: list[float] = []
        self._is_owed = not self._reached
        self._owed: str | None = None
        self._begin()

    def next(self, *, num_workers: int) -> TrialSpec | None:
        """Returns what is trained next; None if nothing is, or nothing can be while others run.

        Args:
            num_workers: Trainings that can run at the same time, >= 1.
        """
        while self._waiting or self._rounds:
            if not self._waiting and not self._open_round(num_workers):
                return None
            for spec in self._in_order():
                if self._is_owed or self._ends_in_time(spec.uid):
                    if self._is_owed:
                        self._is_owed, self._owed = False, spec.uid
                    self._tried.add(spec.uid)
                    self._started[spec.uid] = self._clock()
                    self._running.add(spec.uid)
                    self._waiting.remove(spec)
                    return spec
            self._waiting = []
        return None

    def ended(self, uid: str, reached: float) -> None:
        """Takes note of a training that is over.

        Args:
            uid: Its own.
            reached: The larger the better; NaN if it diverged.
        """
        self._ended.add(uid)
        self._running.discard(uid)
        self._note(uid, reached)
        # How soon a training diverges says nothing of how long others take.
        if self._seconds[uid] and not math.isnan(reached):
            self._ratios.append((self._clock() - self._started[uid]) / self._seconds[uid])
        self._owe_another()

    def again(self, spec: TrialSpec) -> None:
        """Puts a training that was lost back, unless its candidate has diverged meanwhile."""
        self._running.discard(spec.uid)
        if self._first[spec.uid] not in self._diverged:
            self._waiting.insert(0, spec)
        self._owe_another()

    def _owe_another(self) -> None:
        """Begins anew with what has not diverged, where nothing has come of what was trained."""
        if not self._reached and not self._running:
            self._is_owed = True
            self._begin()

    def _begin(self) -> None:
        left = [[spec for spec in one if spec.uid not in self._ended] for one in self._planned]
        self._rounds, self._waiting, self._num_opened = left, [], 0

    def _open_round(self, num_workers: int) -> bool:
        coming = [s for s in self._rounds[0] if self._first[s.uid] not in self._diverged]
        if self._num_opened:
            # Whoever there was no time for at first has no part in a further round.
            coming = [spec for spec in coming if self._first[spec.uid] in self._tried]
        if self._num_opened and self._running and not self._fits(coming, num_workers):
            # One of those that are running may be the best, unless there is no other; and it may
            # end sooner than foreseen.
            candidates = {self._first[uid] for uid in self._tried}
            if len(candidates) > 1 or not any(self._ends_in_time(spec.uid) for spec in coming):
                return False
        self._rounds, self._waiting = self._rounds[1:], coming
        self._num_opened += 1
        return True

    def _in_order(self) -> list[TrialSpec]:
        """Returns what waits, next one first: first seeds as planned, others best so far first."""
        first = [spec for spec in self._waiting if self._first[spec.uid] == spec.uid]
        others = [spec for spec in self._waiting if self._first[spec.uid] != spec.uid]
        return [*first, *sorted(others, key=lambda spec: -self._mean(spec.uid))]

    def _note(self, uid: str, reached: float) -> None:
        first = self._first[uid]
        if math.isnan(reached):
            self._diverged.add(first)
            self._reached.pop(first, None)
            self._waiting = [spec for spec in self._waiting if self._first[spec.uid] != first]
        elif first not in self._diverged:
            self._reached.setdefault(first, []).append(reached)

    def _mean(self, uid: str) -> float:
        """Returns the mean of a training's candidate; where nothing is known the worst."""
        found = self._reached.get(self._first[uid])
        return statistics.fmean(found) if found else -math.inf

    def _fits(self, coming: Sequence[TrialSpec], num_workers: int) -> bool:
        if self._ends is None:
            return True
        room = (self._limit(self._ends) - self._clock()) * num_workers
        seconds = sum(self._foreseen(spec.uid) for spec in coming)
        return seconds <= room and all(self._ends_in_time(spec.uid) for spec in coming)

    def _ends_in_time(self, uid: str) -> bool:
        if self._ends is None:
            return True
        return self._clock() + self._foreseen(uid) <= self._limit(self._ends)

    def _limit(self, ends: float) -> float:
        """Returns until when trainings may last: the one that is owed is waited for anyhow."""
        if self._owed is None or self._owed not in self._running:
            return ends
        return max(ends, self._started[self._owed] + self._foreseen(self._owed) + APART)

    def _foreseen(self, uid: str) -> float:
        ratio = statistics.median(self._ratios) if self._ratios else 1.0
        return CAUTION * ratio * self._seconds[uid]


def _whole_seconds(candidate: Candidate) -> float:
    """Returns how long a whole training of a candidate takes, as its trial of the search says."""
    trial = candidate.trial
    return (trial.metrics.get("training_seconds") or trial.seconds or 0.0) / trial.share
