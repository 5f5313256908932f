"""How long trainings will take, from those that have ended, and what there is time for.

Nothing is assumed of a machine: a rung that has not run yet is taken to cost as many times the one
below as it gives gradient steps, and the first trainings of each correct that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.search.rungs import REDUCTION, Ladder, Promotion, Training

ENOUGH_PAIRS: Final = 3
CAUTION: Final = 1.1
"""How many times what was foreseen the higher rungs may take, and still end in time."""
MOST: Final = 10_000
FINE_TUNING_SHARE: Final = 1 / 3
"""Of the time of all trainings, above which no further one of the base's layers is drawn."""
# Of what a training is expected to take, that it still takes when it has taken as long.
OVERRUN: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What there is time for.

    Attributes:
        ladder: The rungs.
        ends: When the search must have ended, seconds of `clock`.
        clock: Seconds, rising.
    """

    ladder: Ladder
    ends: float
    clock: Callable[[], float] = time.monotonic

    @property
    def seconds_left(self) -> float:
        """Until the end, >= 0."""
        return max(0.0, self.ends - self.clock())

    def fits(self, promotion: Promotion, trainings: Sequence[Training]) -> bool:
        """Whether a promotion that starts now is expected to end in time."""
        return self._seconds_of(promotion.number, promotion.rung, trainings) <= self.seconds_left

    def expected(self, trainings: Sequence[Training], *, num_workers: int) -> int:
        """Returns how many configurations there is time for, with those that there are.

        For each, room is kept for what goes on from it: a third of a rung, each time. One after
        another the rungs take as long as one training on each of them at least, however many
        workers there are.

        Args:
            trainings: All of the study.
            num_workers: That train at the same time, >= 1.
        """
        there = self._num_there(0, trainings)
        seconds = [self._median(rung, trainings) for rung in range(len(self.ladder.shares))]
        if seconds[0] is None:
            first = max(there + num_workers, REDUCTION * num_workers)
            return first if self.seconds_left else there
        known = [own or 0.0 for own in seconds]
        rungs = range(len(known) - 1)
        promoted = [self.ladder.num_promoted(rung, trainings) for rung in rungs]
        left = self.seconds_left - self._left_of_running(trainings) / num_workers
        count = there
        while (
            count < MOST
            and _wanted(count + 1 - there, count + 1, known, promoted, num_workers) <= left
        ):
            count += 1
        # One that does not end in time is not begun.
        return count if known[0] <= self.seconds_left else there

    def _num_there(self, rung: int, trainings: Sequence[Training]) -> int:
        on = self.ladder.on(rung, trainings)
        return sum(one.is_finished or one.state == "RUNNING" for one in on)

    def fine_tuned_enough(self, trainings: Sequence[Training]) -> bool:
        """Whether trainings of layers of the base have had their share of the time.

        One takes as long as several on features that are there: without a limit a handful of them
        would be the whole search.
        """
        seconds = [(one.seconds or 0.0, one.is_fine_tuned) for one in trainings]
        of_all = sum(own for own, _ in seconds)
        return (
            sum(own for own, is_fine_tuned in seconds if is_fine_tuned) > FINE_TUNING_SHARE * of_all
        )

    def _left_of_running(self, trainings: Sequence[Training]) -> float:
        left = 0.0
        for one in trainings:
            if one.state != "RUNNING":
                continue
            rung = self.ladder.rung_of(one.share)
            wanted = (
                self._median(rung, trainings) or 0.0
                if one.promoted_from is None
                else self._seconds_of(one.promoted_from, rung, trainings)
            )
            left += max(OVERRUN * wanted, wanted - (one.seconds or 0.0))
        return left

    def _seconds_of(self, number: int, rung: int, trainings: Sequence[Training]) -> float:
        """Returns what the training of a lower rung will take on another."""
        own = next((one.seconds for one in trainings if one.number == number), None) or 0.0
        return own * self._factor(rung, trainings)

    def _factor(self, rung: int, trainings: Sequence[Training]) -> float:
        """Returns how many times the rung below a rung costs."""
        seconds = {one.number: one.seconds for one in trainings}
        pairs = [
            one.seconds / below
            for one in self.ladder.on(rung, trainings)
            if one.is_finished and not one.is_copy and one.seconds
            if one.promoted_from is not None and (below := seconds.get(one.promoted_from))
        ]
        return statistics.median(pairs) if len(pairs) >= ENOUGH_PAIRS else float(REDUCTION)

    def _median(self, rung: int, trainings: Sequence[Training]) -> float | None:
        """Returns what a training on a rung takes; None while nothing has ended."""
        found = [
            one.seconds
            for one in self.ladder.on(rung, trainings)
            if one.is_finished and not one.is_copy and one.seconds
        ]
        if found:
            return statistics.median(found)
        below = self._median(rung - 1, trainings) if rung else None
        return None if below is None else below * self._factor(rung, trainings)


def _wanted(
    new: int, count: int, seconds: Sequence[float], promoted: Sequence[int], num_workers: int
) -> float:
    """Returns how long it takes from now until all configurations have gone their way.

    Args:
        new: Those that are yet to be begun, >= 1.
        count: All of them.
        seconds: That a training takes on each rung.
        promoted: How many have gone on from each rung but the last.
        num_workers: That train at the same time, >= 1.
    """
    total = max(new * seconds[0] / num_workers, seconds[0])
    for rung, gone_on in enumerate(promoted, start=1):
        count = -(-count // REDUCTION)
        if count > gone_on:
            work = (count - gone_on) * seconds[rung] / num_workers
            total += CAUTION * max(work, seconds[rung])
    return total
