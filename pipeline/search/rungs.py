"""Successive halving: every configuration by a part of a training, the best third by a larger one.

Asynchronous (Li et al. 2020, ASHA, arXiv:1810.05934, algorithm 2), so that no worker waits for
the slowest training of a rung, with two changes. A rung gives no more than a third of its finished
trainings away, where ASHA replaces early promotions by better ones that come later: so the number
of trainings is known beforehand. And it gives none away before a third of what it expects has
finished, since the best of the first three says little. A rung's last promotions wait until it is
closed; a third of it, rounded up, has then gone on. Where the time decides, more go on: rather than
that a worker has nothing to do (`Ladder.spare`), and the best third of a rung that is over even if
worse ones went before.

Pure: what is promoted follows from the trainings that there are, so that a search that was killed
goes on with the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.trials.pace import Work
from pipeline.trials.record import FINISHED, State

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

REDUCTION: Final = 3
"""Of so many trainings of a rung one goes on, to so many times the gradient steps."""


def shares(num_rungs: int) -> tuple[float, ...]:
    """Returns what share of a whole training each rung gives, lowest first; the last is 1.

    >>> shares(3)
    (0.1111111111111111, 0.3333333333333333, 1.0)
    """
    return tuple(1 / REDUCTION**above for above in reversed(range(num_rungs)))


def share_of(trial: FrozenTrial) -> float:
    """Returns what a trial was given of a whole training, in (0, 1]."""
    return float(trial.user_attrs.get("share", 1.0))


@dataclass(frozen=True, kw_only=True)
class Training:
    """What promotion needs to know of a trial.

    Attributes:
        number: Of the trial.
        state: As Optuna calls it.
        share: What it was given of a whole training.
        value: The objective, larger is better; None unless it is complete.
        loss: On the validation part, by which equal values are told apart.
        seconds: How long it took; None while it runs.
        promoted_from: The trial of the rung below that it goes on with; None: it is the first of
            its configuration.
        is_fine_tuned: Whether it trains layers of the base, which takes several times as long.
        is_copy: Whether it was given the result of the same configuration, or is not to go on for
            another reason.
        attempt: How many tries before it were lost by their own fault.
        can_retry: Of a failed one: whether another attempt may give a result.
    """

    number: int
    state: State
    share: float = 1.0
    value: float | None = None
    loss: float = math.inf
    seconds: float | None = None
    promoted_from: int | None = None
    is_fine_tuned: bool = False
    is_copy: bool = False
    attempt: int = 0
    can_retry: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether it gave a result, be it a poor one."""
        return self.state in FINISHED

    @property
    def is_there(self) -> bool:
        """Whether it gave a result or is running."""
        return self.is_finished or self.state == "RUNNING"


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A training to be done next.

    Attributes:
        number: The trial whose configuration goes on.
        rung: Where to, counted from 0 at the lowest.
        share: What that rung gives of a whole training.
        retry_of: The attempt that was lost, or None.
        attempt: How many tries before were lost by their own fault.
    """

    number: int
    rung: int
    share: float
    retry_of: int | None = None
    attempt: int = 0


def num_configurations(trainings: Sequence[Training]) -> int:
    """Counts the configurations that were tried or are being tried."""
    return sum(one.is_there and one.promoted_from is None for one in trainings)


class Ladder:
    """The rungs of a study.

    Args:
        num_rungs: 1 or more; 1: every training is whole and none is promoted.
        max_retries: How often a training that was lost by its own fault is tried again, >= 0.
    """

    def __init__(self, num_rungs: int, *, max_retries: int) -> None:
        self.shares = shares(num_rungs)
        self._max_retries = max_retries

    def rung_of(self, share: float) -> int:
        """Returns the highest rung that gives no more than a share, at least 0."""
        return max([0, *(rung for rung, own in enumerate(self.shares) if own <= share + 1e-9)])

    def on(self, rung: int, trainings: Sequence[Training]) -> list[Training]:
        """Returns the trainings on a rung, those of an earlier, finer ladder among them."""
        return [one for one in trainings if self.rung_of(one.share) == rung]

    def promotions(
        self,
        trainings: Sequence[Training],
        *,
        expected: float,
        is_closed: bool,
        is_exact: bool = True,
        fits: Callable[[Promotion], bool] = lambda promotion: True,
    ) -> Iterator[Promotion]:
        """Yields what may be promoted now, of the highest rung first, and of a rung the best.

        Args:
            trainings: All of the study.
            expected: How many configurations the lowest rung will have in the end.
            is_closed: Whether it has them all.
            is_exact: Whether a third of each rung goes on, rounded up, and no more. Otherwise what
                is of the best third of a rung that is over, and fits, goes on even where worse
                ones have gone before.
            fits: Whether there is time for one; the place of another goes to the next.
        """
        due: list[list[Promotion]] = []
        for rung in range(len(self.shares) - 1):
            waiting, num_due, num_best = self._due(
                rung, trainings, expected=expected, is_closed=is_closed
            )
            if not is_exact:
                num_due = max(num_due, sum(map(fits, waiting[:num_best])))
            found = [one for one in waiting if fits(one)][:num_due] if num_due else []
            due.append(found)
            is_open = any(one.state == "RUNNING" for one in self.on(rung, trainings))
            # Of a rung that waits for one below it more will come.
            is_closed = is_closed and not is_open and not due[-1]
            expected /= REDUCTION
        for promotions in reversed(due):
            yield from promotions

    def spare(
        self, trainings: Sequence[Training], *, fits: Callable[[Promotion], bool]
    ) -> Iterator[Promotion]:
        """Yields what may go on beyond its third, rather than that a worker has nothing to do.

        Of the highest rung first, and of a rung the best so far: what still runs has a worker of
        its own, and with it what follows from it.

        Args:
            trainings: All of the study.
            fits: Whether there is time for one.
        """
        last = _last_attempts(trainings)
        for rung in reversed(range(len(self.shares) - 1)):
            finished = [one for one in self.on(rung, trainings) if one.is_finished]
            waiting = [
                self._promotion(one.number, rung, last.get(one.number))
                for one in _ranked(finished)
                if one.number not in last or self._is_lost(last[one.number])
            ]
            yield from (one for one in waiting if fits(one))

    def num_missing(self, trainings: Sequence[Training], target: int) -> int:
        """Returns how many trainings a study is short of its target: 0 where it is over.

        Args:
            trainings: All of the study.
            target: Configurations wanted.

        Returns:
            Configurations that are missing, and promotions that are due.
        """
        missing = max(0, target - num_configurations(trainings))
        due = self.promotions(trainings, expected=target, is_closed=not missing)
        return missing + len(list(due))

    def num_promoted(self, rung: int, trainings: Sequence[Training]) -> int:
        """Counts the trainings of a rung that have gone on: to the next, or to nothing but loss."""
        last = _last_attempts(trainings)
        on = [one.number for one in self.on(rung, trainings) if one.number in last]
        return sum(not self._is_lost(last[number]) for number in on)

    def _due(
        self,
        rung: int,
        trainings: Sequence[Training],
        *,
        expected: float,
        is_closed: bool,
    ) -> tuple[list[Promotion], int, int]:
        """Returns what may go on from a rung, the best first, and how many of these are to.

        Last comes how many of the first are of the best third of a rung that is over.
        """
        on, last = self.on(rung, trainings), _last_attempts(trainings)
        finished = [one for one in on if one.is_finished]
        is_over = is_closed and all(one.state != "RUNNING" for one in on)
        if not is_over and len(finished) < expected / REDUCTION:
            return [], 0, 0
        going_on = -(-len(finished) // REDUCTION) if is_over else len(finished) // REDUCTION
        ranked = _ranked(finished)
        gone = {number for number, attempt in last.items() if not self._is_lost(attempt)}
        waiting = [one for one in ranked if one.number not in gone]
        promotions = [self._promotion(one.number, rung, last.get(one.number)) for one in waiting]
        num_due = max(0, going_on - self.num_promoted(rung, trainings))
        num_best = sum(one.number not in gone for one in ranked[:going_on]) if is_over else 0
        return promotions, num_due, num_best

    def _promotion(self, number: int, rung: int, lost: Training | None) -> Promotion:
        return Promotion(
            number=number,
            rung=rung + 1,
            share=self.shares[rung + 1],
            retry_of=lost.number if lost else None,
            attempt=lost.attempt if lost else 0,
        )

    def _is_lost(self, attempt: Training) -> bool:
        """Whether an attempt gave nothing, and another one may give something."""
        can_retry = attempt.can_retry and attempt.attempt <= self._max_retries
        return attempt.state == "FAIL" and can_retry


def work_left(
    target: int, num_rungs: int, done: Sequence[float], *, num_configurations: int
) -> Work:
    """Returns the trainings that a search still needs.

    Args:
        target: Configurations wanted.
        num_rungs: Of successive halving.
        done: What each finished training was given of a whole one.
        num_configurations: That `done` are of, each counted once.

    >>> work_left(9, 2, [], num_configurations=0)  # nine thirds, and three whole ones
    Work(num_trainings=12, whole=6.0)
    """
    ladder = Ladder(num_rungs, max_retries=0)
    on = Counter(ladder.rung_of(share) for share in done)
    # With fewer rungs than before, one may lie on the lowest several times.
    on[0] = min(on[0], num_configurations)
    missing = [max(0, -(-target // REDUCTION**rung) - on[rung]) for rung in range(num_rungs)]
    steps = (count * share for count, share in zip(missing, ladder.shares, strict=True))
    return Work(num_trainings=sum(missing), whole=math.fsum(steps))


def _last_attempts(trainings: Sequence[Training]) -> dict[int, Training]:
    """Returns the last attempt to promote each trial, by its number."""
    return {one.promoted_from: one for one in trainings if one.promoted_from is not None}


def best_of(trainings: Sequence[Training]) -> list[Training]:
    """Returns the best of those that have finished, as many as would go on, the best first."""
    finished = [one for one in trainings if one.is_finished]
    return _ranked(finished)[: len(finished) // REDUCTION]


def _ranked(finished: Sequence[Training]) -> list[Training]:
    able = [one for one in finished if one.value is not None and not one.is_copy]
    return sorted(able, key=lambda one: (-(one.value or 0.0), one.loss, one.number))
