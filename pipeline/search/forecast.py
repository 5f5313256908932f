"""How long trainings will take, from those that have ended, and what there is time for.

Nothing is assumed of a machine: a rung that has not run yet is taken to cost as many times the one
below as it gives gradient steps, and the first trainings of each correct that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from pipeline.search.rungs import REDUCTION, Ladder, Promotion, Training, best_of

ENOUGH_PAIRS: Final = 3
CAUTION: Final = 1.1
"""How many times what was foreseen the higher rungs may take, and still end in time."""
MOST: Final = 10_000
FINE_TUNING_SHARE: Final = 1 / 3
"""Of the time of all trainings, that those of the base's layers may take while nothing is known of
how they do."""
MOST_FINE_TUNING: Final = 1 / 2
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

    def num_more(self, trainings: Sequence[Training], *, num_workers: int) -> int:
        """Returns for how many further configurations there is time.

        For each, and for those that are there, room is kept for what goes on: a third of a rung,
        each time. One after another the rungs take as long as one training on each of them at
        least, however many workers there are. Of rungs that are out of reach, and on which nothing
        has been trained, no room is kept: the time is for what can be done.

        Args:
            trainings: All of the study.
            num_workers: That train at the same time, >= 1.
        """
        seconds = [self._median(rung, trainings) for rung in range(len(self.ladder.shares))]
        if seconds[0] is None:
            return REDUCTION * num_workers if self.seconds_left else 0
        if seconds[0] > self.seconds_left:
            return 0  # What does not end in time is not begun.
        known = [own or 0.0 for own in seconds]
        there = [self.num_there(rung, trainings) for rung in range(len(known))]
        known = known[: 1 + self._highest(known, there)]
        promoted = [self.ladder.num_promoted(rung, trainings) for rung in range(len(known) - 1)]
        left = self.seconds_left - self._left_of_running(trainings) / num_workers
        more = 0
        while more < MOST and _wanted(more + 1, there, known, promoted, num_workers) <= left:
            more += 1
        return more

    def _highest(self, seconds: Sequence[float], there: Sequence[int]) -> int:
        """Returns the highest rung that has been reached, or can be: anew, or from the highest.

        Args:
            seconds: That a training takes on each rung.
            there: Trainings on each rung.
        """
        highest = max([0, *(rung for rung, count in enumerate(there) if count)])
        anew = accumulate((CAUTION * own for own in seconds[1:]), initial=seconds[0])
        on = accumulate(CAUTION * own for own in seconds[highest + 1 :])
        ends = [*enumerate(anew), *enumerate(on, start=highest + 1)]
        return max([highest, *(rung for rung, end in ends if end <= self.seconds_left)])

    def num_there(self, rung: int, trainings: Sequence[Training]) -> int:
        """Counts the trainings of a rung that have ended with a result or are running."""
        return sum(one.is_there for one in self.ladder.on(rung, trainings))

    def fine_tuned_enough(self, trainings: Sequence[Training]) -> bool:
        """Whether trainings of layers of the base have had their share of the time.

        One takes as long as several on features that are there: without a limit a handful of them
        would be the whole search. Of the time of the lowest rung their share is at most their share
        of its best third (and `MOST_FINE_TUNING`), by Laplace's rule from `FINE_TUNING_SHARE` on:
        where they win they are drawn, where they never do the time goes to the others.

        Args:
            trainings: All of the study.
        """
        lowest = self.ladder.on(0, trainings)
        seconds = [(one.seconds or 0.0, one.is_fine_tuned) for one in lowest if not one.is_copy]
        spent = sum(own for own, is_fine_tuned in seconds if is_fine_tuned)
        best = best_of(lowest)
        won = sum(one.is_fine_tuned for one in best)
        share = (won + 1) / (len(best) + 1 / FINE_TUNING_SHARE)
        return spent > min(share, MOST_FINE_TUNING) * sum(own for own, _ in seconds)

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
    new: int,
    there: Sequence[int],
    seconds: Sequence[float],
    promoted: Sequence[int],
    num_workers: int,
) -> float:
    """Returns how long it takes from now until all configurations have gone their way.

    Args:
        new: Those that are yet to be begun, >= 1.
        there: Trainings on each rung.
        seconds: That a training takes on each rung.
        promoted: How many have gone on from each rung but the last.
        num_workers: That train at the same time, >= 1.
    """
    total = max(new * seconds[0] / num_workers, seconds[0])
    for rung, gone_on in enumerate(promoted, start=1):
        new = max(0, -(-(there[rung - 1] + new) // REDUCTION) - gone_on)
        if new:
            total += CAUTION * max(new * seconds[rung] / num_workers, seconds[rung])
    return total
