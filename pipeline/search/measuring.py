"""Trainings that measure something, as many as there is time for; no trials of any study."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.processes import raise_received
from pipeline.search.executors.base import (
    EpochDone,
    Event,
    Executor,
    TrialDone,
    TrialLost,
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
        self._stopped: set[str] = set()

    @property
    def slowness(self) -> float:
        """How many times what was expected trainings have lasted so far; 1 before the first."""
        return statistics.median(self._ratios) if self._ratios else 1.0

    def run(self, wanted: Sequence[Measurement], *, ends: float) -> dict[str, TrialResult | None]:
        """Returns by uid the result of each training that there was time for.

        Those that do not fit any more are passed over; shorter ones after them may. One that is not
        over in time ends with the epoch that it is in, and counts as passed over.

        Args:
            wanted: In the order of how much they are wanted.
            ends: When the last must have ended, in seconds of the clock.

        Returns:
            None instead of a result where the hyperparameters cannot be trained, the training
            fails, or it is lost more often than it may be: why is logged.
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
                self._hear(event, waiting, results, ends)
        if self._passed:
            logger.info("no time was left for %s", ", ".join(self._passed))
            self._passed.clear()
        return results

    def _hear(
        self,
        event: Event,
        waiting: list[Measurement],
        results: dict[str, TrialResult | None],
        ends: float,
    ) -> None:
        if isinstance(event, EpochDone):
            is_late = self._clock() > ends
            self._executor.answer(event.uid, stop=is_late)
            if is_late:
                self._stopped.add(event.uid)
            return
        began, one = self._started.pop(event.uid)
        if isinstance(event, TrialDone):
            seconds = self._clock() - began
            logger.info("%s: %s in %.0f s", one.told, event.result.outcome, seconds)
            if event.uid in self._stopped:
                self._passed.append(one.told)
                return
            # Not what the start of a worker took: it is there for the next ones.
            self._ratios.append(event.result.seconds / one.seconds)
            results[event.uid] = event.result
        elif isinstance(event, TrialLost) and self._may_try_again(event.uid):
            waiting.insert(0, one)
        else:
            reason = event.reason if isinstance(event, TrialLost) else event.message
            logger.warning("%s could not be trained: %s", one.told, reason)
            results[event.uid] = None

    def _next(self, waiting: list[Measurement], ends: float) -> Measurement | None:
        while waiting:
            one = waiting.pop(0)
            if self._clock() + CAUTION * self.slowness * one.seconds <= ends:
                return one
            self._passed.append(one.told)
        return None

    def _may_try_again(self, uid: str) -> bool:
        self._lost[uid] = self._lost.get(uid, 0) + 1
        return self._lost[uid] <= self._max_retries
