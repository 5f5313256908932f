"""The best trials of a study, trained again with seeds that no search has used.

A search picks the largest of many noisy values, so its best value flatters. Here the best few are
trained over several seeds and judged on a part that no search has seen.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.errors import StudyError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.processes import raise_received
from pipeline.search.candidates import PART, Candidate
from pipeline.search.executors.base import EpochDone, Executor, TrialDone, TrialLost, TrialRaised
from pipeline.search.kept_trainings import KeptTraining
from pipeline.search.rounds import Rounds
from pipeline.training.data import DataReference
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec
from pipeline.trials.confirmation import TrainingRecord
from pipeline.trials.record import Epoch
from pipeline.trials.recorder import Recorder, run_summary

if TYPE_CHECKING:
    from collections.abc import Callable

_MEAN: Final = (
    "the mean of the probabilities over the winner's seed with the best validation value and as "
    "many of the 14 best other trainings as have the lowest log loss on the validation part"
)
EXPORT_RULES: Final[Mapping[str, str]] = {
    "auto": f"{_MEAN}; that seed alone where on the confirmation part the mean is worse, or not "
    "shown to be better and not next to free",
    "ensemble": _MEAN,
    "best_seed": "of the winner's seeds, the one with the best validation value",
}
"""`confirm.export`, and what it means."""


logger = logging.getLogger(__name__)


@dataclass
class _Attempt:
    number: int
    start_ms: int
    num_lost: int = 0  # Before it or with it, by their own fault.
    epochs: list[Epoch] = field(default_factory=list)


class Confirmation:
    """Trains every candidate over its seeds.

    Args:
        executor: Where they are trained.
        recorder: Where they are mirrored.
        data: What they are trained on.
        max_retries: How often a lost training is tried again, >= 0; not counted is what was lost
            with its machine.
        ends: When all must have ended, in seconds of `time.time`: what there is no time for is left
            out, and what fails, unless nothing else is left. None: all are trained.
        on_done: Called with each training that is over and what `confirm.json` says of it, before
            it is recorded as over.
    """

    def __init__(
        self,
        executor: Executor,
        recorder: Recorder,
        data: DataReference,
        *,
        max_retries: int,
        ends: float | None = None,
        on_done: Callable[[TrialSpec, TrialResult, TrainingRecord], None],
    ) -> None:
        self._executor = executor
        self._recorder = recorder
        self._data = data
        self._max_retries = max_retries
        self._ends = ends
        self._on_done = on_done
        self._numbers: dict[str, int] = {}
        self._specs: dict[str, TrialSpec] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._running: set[str] = set()
        self._results: dict[str, TrialResult] = {}
        self._trainings: dict[str, TrainingRecord] = {}
        self._failure: StudyError | None = None

    def run(
        self, planned: Sequence[Candidate], *, kept: Mapping[str, KeptTraining]
    ) -> dict[str, TrialResult]:
        """Returns the result of each training by its uid; at least one.

        Args:
            planned: The trainings, of the best candidate first.
            kept: Those that are over already, by uid.

        Raises:
            StudyError: If a training fails, or is lost more often than it may be; where time
                decides, if that is all that came of it.
        """
        for candidate in planned:
            for spec in candidate.specs:
                self._specs[spec.uid] = spec
                self._numbers[spec.uid] = candidate.trial.number
        self._results = {uid: one.result for uid, one in kept.items()}
        self._trainings = {uid: one.record for uid, one in kept.items()}
        try:
            reached = {uid: self._reached(uid) for uid in kept}
            self._train(Rounds(planned, reached, ends=self._ends))
        finally:
            self._abandon_running()
        if self._failure is not None and not self._results:
            raise self._failure
        return self._results

    def _train(self, rounds: Rounds) -> None:
        while True:
            raise_received()
            num_workers = self._executor.num_free + len(self._running)
            while self._executor.num_free and (spec := rounds.next(num_workers=num_workers)):
                self._start(spec.uid)
            # Where no worker is free and none is at work, a cluster is being waited for.
            if not self._running and self._executor.num_free:
                return
            for event in self._executor.wait(timeout_seconds=0.5):
                if isinstance(event, EpochDone):
                    self._on_epoch(event)
                elif isinstance(event, TrialDone):
                    self._finish(event.uid, event.result)
                    rounds.ended(event.uid, self._reached(event.uid))
                elif self._fail(event):
                    rounds.again(self._specs[event.uid])
                else:
                    rounds.ended(event.uid, math.nan)

    def _reached(self, uid: str) -> float:
        """Returns what a training reached where it was judged, the larger the better."""
        spec = self._specs[uid]
        objective = OBJECTIVES[spec.objective]
        value = self._results[uid].metrics.get(objective.metric_on(PART), math.nan)
        return value if objective.direction == "maximize" else -value

    def _abandon_running(self) -> None:
        for uid in sorted(self._running):
            self._end_failed(uid, "interrupted", traceback=None)

    def trainings(self) -> list[TrainingRecord]:
        """Returns what `confirm.json` keeps of each training, in the order they were planned."""
        return [self._trainings[uid] for uid in self._specs if uid in self._trainings]

    def _start(self, uid: str) -> None:
        spec, former = self._specs[uid], self._attempts.get(uid)
        attempt = _Attempt(
            number=former.number + 1 if former else 0,
            start_ms=_now_ms(),
            num_lost=former.num_lost if former else 0,
        )
        self._attempts[uid] = attempt
        tags = {"role": "confirm", "seed": str(spec.seed), "attempt": str(attempt.number)}
        # Before its run: an interruption in between ends a run that may not be there.
        self._running.add(uid)
        self._recorder.start_trial(
            uid, number=self._numbers[uid], hyperparameters=spec.hyperparameters, tags=tags
        )
        self._executor.submit(spec, self._data)

    def _on_epoch(self, event: EpochDone) -> None:
        self._executor.answer(event.uid, stop=False)
        now = _now_ms()
        metrics = event.record.finite_metrics
        record = EpochRecord(epoch=event.record.epoch, metrics=metrics)
        self._recorder.log_epoch(event.uid, record, at_ms=now)
        epoch = Epoch(epoch=event.record.epoch, metrics=metrics, at_ms=now)
        self._attempts[event.uid].epochs.append(epoch)

    def _finish(self, uid: str, result: TrialResult) -> None:
        spec, attempt = self._specs[uid], self._attempts[uid]
        self._results[uid] = result
        value = result.metrics.get(OBJECTIVES[spec.objective].metric)
        metrics = run_summary(result)
        record = TrainingRecord(
            uid=uid,
            number=self._numbers[uid],
            seed=spec.seed,
            attempt=attempt.number,
            outcome=result.outcome,
            value=value if value is not None and math.isfinite(value) else None,
            metrics=metrics,
            epochs=attempt.epochs,
            start_ms=attempt.start_ms,
            end_ms=_now_ms(),
        )
        self._trainings[uid] = record
        # First, so that one whose run is over is never trained again.
        self._on_done(spec, result, record)
        self._running.discard(uid)
        self._recorder.end_trial(
            uid,
            "COMPLETE",
            value=value,
            metrics=metrics,
            tags={"outcome": result.outcome},
            traceback=None,
        )

    def _fail(self, event: TrialRaised | TrialLost) -> bool:
        """Returns whether a training that failed is tried again."""
        reason = event.reason if isinstance(event, TrialLost) else event.message
        trace = None if isinstance(event, TrialLost) else event.traceback
        self._end_failed(event.uid, reason, traceback=trace)
        if isinstance(event, TrialLost):
            attempt = self._attempts[event.uid]
            attempt.num_lost += not event.with_machine
            if attempt.num_lost <= self._max_retries:
                return True
        self._failure = StudyError(f"A confirmation training failed: {reason}.")
        if self._ends is None:
            raise self._failure
        logger.warning("trial %d has no further seed: %s", self._numbers[event.uid], reason)
        return False

    def _end_failed(self, uid: str, reason: str, *, traceback: str | None) -> None:
        self._running.discard(uid)
        self._recorder.end_trial(
            uid, "FAIL", value=None, metrics={}, tags={"reason": reason}, traceback=traceback
        )


def _now_ms() -> int:
    return int(time.time() * 1000)
