"""Trainings that measure something, as many as there is time for; no trials of any study."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import StudyError
from pipeline.processes import raise_received
from pipeline.search.executors.base import (
    EpochDone,
    Event,
    Executor,
    TrialDone,
    TrialLost,
    TrialRaised,
)
from pipeline.search.rounds import CAUTION
from pipeline.training.data import TrialData
from pipeline.training.messages import TrialResult, TrialSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A training that may be done.

    Attributes:
        spec: What is trained.
        data: On what.
        seconds: How long that is expected to take, > 0.
        told: What it is, in a few words.
    """

    spec: TrialSpec
    data: TrialData
    seconds: float
    told: str


class Measurements:
    """Trains one measurement after the other, on an executor, until the time is over.

    How long trainings last against what was expected is learned from those that have ended.

    Args:
        executor: Where they are trained.
        max_retries: How often a lost training is tried again, >= 0.
        clock: Seconds, rising.
    """

    def __init__(
        self, executor: Executor, *, max_retries: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._executor = executor
        self._max_retries = max_retries
        self._clock = clock
        self._ratios: list[float] = []
        self._started: dict[str, tuple[float, Measurement]] = {}
        self._lost: dict[str, int] = {}
        self._passed: list[str] = []

    @property
    def slowness(self) -> float:
        """How many times what was expected trainings have lasted so far; 1 before the first."""
        return statistics.median(self._ratios) if self._ratios else 1.0

    def run(self, wanted: Sequence[Measurement], *, ends: float) -> dict[str, TrialResult | None]:
        """Returns by uid the result of each training that there was time for.

        Those that do not fit any more are passed over; shorter ones after them may.

        Args:
            wanted: In the order of how much they are wanted.
            ends: When the last must have ended, in seconds of the clock.

        Returns:
            None instead of a result where the hyperparameters cannot be trained.

        Raises:
            StudyError: If a training fails, or is lost more often than it may be.
        """
        waiting, results = list(wanted), dict[str, TrialResult | None]()
        while True:
            raise_received()
            while self._executor.num_free and (one := self._next(waiting, ends)) is not None:
                self._started[one.spec.uid] = self._clock(), one
                self._executor.submit(one.spec, one.data)
            if not self._started:
                break
            for event in self._executor.wait(timeout_seconds=0.5):
                self._hear(event, waiting, results)
        if self._passed:
            logger.info("no time was left for %s", ", ".join(self._passed))
            self._passed.clear()
        return results

    def _hear(
        self, event: Event, waiting: list[Measurement], results: dict[str, TrialResult | None]
    ) -> None:
        if isinstance(event, EpochDone):
            self._executor.answer(event.uid, stop=False)
        elif isinstance(event, TrialDone):
            results[event.uid] = self._ended(event)
        elif isinstance(event, TrialLost):
            waiting.insert(0, self._again(event))
        else:
            self._refuse(event)
            results[event.uid] = None

    def _next(self, waiting: list[Measurement], ends: float) -> Measurement | None:
        while waiting:
            one = waiting.pop(0)
            if self._clock() + CAUTION * self.slowness * one.seconds <= ends:
                return one
            self._passed.append(one.told)
        return None

    def _ended(self, event: TrialDone) -> TrialResult:
        began, one = self._started.pop(event.uid)
        # Not what the start of a worker took: it is there for the next ones.
        self._ratios.append(event.result.seconds / one.seconds)
        logger.info("%s: %s in %.0f s", one.told, event.result.outcome, self._clock() - began)
        return event.result

    def _again(self, event: TrialLost) -> Measurement:
        _, one = self._started.pop(event.uid)
        self._lost[event.uid] = self._lost.get(event.uid, 0) + 1
        if self._lost[event.uid] > self._max_retries:
            raise StudyError(f"A training of the diagnosis was lost: {event.reason}.")
        return one

    def _refuse(self, event: TrialRaised) -> None:
        _, one = self._started.pop(event.uid)
        if not event.is_infeasible:
            raise StudyError(f"A training of the diagnosis failed, {one.told}: {event.message}.")
        logger.info("%s: cannot be trained: %s", one.told, event.message)
