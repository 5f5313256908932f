"""The search engine: the only one that asks and tells Optuna, and the only writer of MLflow.

Workers train and nothing else. The engine decides what is tried next and when to stop: a further
configuration, or one that goes on to the next rung, as the target or the time says.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.processes import raise_received
from pipeline.search.attempts import Attempts, Retry
from pipeline.search.budget import Deadline, FailureStreak
from pipeline.search.executors.base import (
    EpochDone,
    Event,
    Executor,
    TrialDone,
    TrialLost,
    TrialRaised,
)
from pipeline.search.forecast import Forecast
from pipeline.search.progress import Progress
from pipeline.search.proposals import Proposal, Proposals, trainings_of
from pipeline.search.pruners import is_due
from pipeline.search.rungs import Ladder, Training, num_configurations
from pipeline.search.sections import SearchParams
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.hyperparameters import described
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec
from pipeline.training.portions import Portion
from pipeline.trials.recorder import Recorder, run_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.study import Study

logger = logging.getLogger(__name__)

OUT_OF_TIME = "the search's time was up"
# Configurations that a search without a target may try.
MOST = 10_000
# So many proposals in a row that had been tried say that the space holds no more.
MOST_COPIES = 20
# So few say that of what trains no layer of the base no more is left; the rest goes on.
MOST_FROZEN_COPIES = 5


class Engine:
    """Runs a study to its target, or as far as there is time.

    Args:
        study: The study, with its pruner set and no orphaned trials left in it.
        space: What its trials can be.
        params: Section `search`: target, rungs, epochs, sampler, retries.
        limit_seconds: The search ends after that long, plus one epoch; None: no limit, which needs
            a target.
        executor: Where trials run.
        recorder: Where they are mirrored.
        data: What workers train on.
        progress: Keeps how far it is.
    """

    def __init__(
        self,
        study: Study,
        space: SearchSpace,
        params: SearchParams,
        *,
        limit_seconds: float | None,
        executor: Executor,
        recorder: Recorder,
        data: DataReference,
        progress: Progress,
    ) -> None:
        self._params = params
        self._objective = OBJECTIVES[params.objective]
        self._executor = executor
        self._data = data
        self._progress = progress
        self._proposals = Proposals(study, space, params)
        self._min_epochs = params.pruner.first_judgement(params.num_epochs)
        self._deadline = Deadline(limit_seconds, min_epochs=self._min_epochs)
        self._ladder = Ladder(params.num_rungs, max_retries=params.max_retries)
        is_planned = limit_seconds is not None and (params.target is None or params.num_rungs > 1)
        self._forecast = (
            Forecast(ladder=self._ladder, ends=time.monotonic() + (limit_seconds or 0.0))
            if is_planned
            else None
        )
        self._attempts = Attempts(
            study,
            recorder,
            progress,
            objective=self._objective,
            max_retries=params.max_retries,
        )
        self._failures = FailureStreak(params.max_failures)
        self._num_copies = 0
        # What was taken over from another space is no answer to what is asked now.
        self._has_result = any(
            one.state.name == "COMPLETE" and "taken_over_from" not in one.user_attrs
            for one in study.get_trials(deepcopy=False)
        )
        # That may diverge when the time is up before anything has come of it.
        self._num_late = params.max_failures

    def run(self) -> int:
        """Trains until the study holds its target of configurations, or the time is up.

        Returns:
            How many configurations, and promotions of these, are missing of the target; 0 unless
            the time was up.

        Raises:
            StudyError: If too many trials fail in a row; the message holds their common cause.
        """
        try:
            while (self._start_trials() or self._attempts) and not self._is_overdue:
                raise_received()
                for event in self._executor.wait(timeout_seconds=0.5):
                    self._handle(event)
                self._progress.running(len(self._attempts))
        finally:
            self._abandon_running(OUT_OF_TIME if self._is_over else "interrupted")
        target = self._params.target
        if target is None:
            return 0
        return self._ladder.num_missing(self._proposals.trainings(), target)

    @property
    def _owes_a_result(self) -> bool:
        """Whether a search that takes what time is left has come to nothing: late, it does less.

        Some trials that diverge end it all the same, and so does `search.timeout`.
        """
        takes_what_is_left = self._params.target is None and self._params.timeout is None
        return takes_what_is_left and not self._has_result and self._num_late > 0

    @property
    def _is_over(self) -> bool:
        return self._deadline.is_over and not self._owes_a_result

    @property
    def _is_overdue(self) -> bool:
        return self._deadline.is_overdue and not self._owes_a_result

    def _start_trials(self) -> bool:
        """Fills the free workers; False when nothing can be started now."""
        while self._executor.num_free:
            proposal = self._next()
            if proposal is None:
                return False
            if proposal.duplicate is None:
                self._start(proposal)
            else:
                self._attempts.reuse(proposal, proposal.duplicate)
                self._num_copies += 1
        return True

    def _next(self) -> Proposal | None:
        """Returns what is tried next: what goes on before what is new."""
        trainings, forecast = self._proposals.trainings(), self._forecast
        more = self._num_more(trainings)
        for promotion in self._ladder.promotions(
            trainings,
            expected=len([one for one in self._ladder.on(0, trainings) if one.is_there]) + more,
            is_closed=not more,
            is_exact=self._params.target is not None,
            fits=lambda one: forecast is None or forecast.fits(one, trainings),
        ):
            return self._proposals.promote(promotion)
        if not more:
            return self._spare(trainings)
        is_frozen = (
            forecast is not None
            and self._num_copies < MOST_FROZEN_COPIES
            and forecast.fine_tuned_enough(trainings)
        )
        return self._proposals.ask(is_frozen=is_frozen)

    def _spare(self, trainings: Sequence[Training]) -> Proposal | None:
        """Returns what goes on since there is time, where no number of trainings was asked for."""
        forecast = self._forecast
        if forecast is None or self._params.target is not None:
            return None
        fitting = self._ladder.spare(trainings, fits=lambda one: forecast.fits(one, trainings))
        promotion = next(fitting, None)
        return None if promotion is None else self._proposals.promote(promotion)

    def _num_more(self, trainings: Sequence[Training]) -> int:
        """Returns how many further configurations are wanted, as far as there is time."""
        target = self._params.target
        missing = MOST if target is None else target - num_configurations(trainings)
        if self._forecast is None:
            return max(0, missing) if self._deadline.has_room() else 0
        if target is None and self._num_copies >= MOST_COPIES:
            return 0
        if self._owes_a_result and not self._attempts:
            return 1
        num_workers = self._executor.num_free + len(self._attempts)
        return max(0, min(missing, self._forecast.num_more(trainings, num_workers=num_workers)))

    def _start(self, proposal: Proposal) -> None:
        if proposal.promoted_from is None:
            self._num_copies = 0
        self._attempts.open(proposal)
        spec = TrialSpec(
            uid=proposal.uid,
            hyperparameters=proposal.hyperparameters,
            seed=proposal.seed,
            epochs=self._params.num_epochs,
            objective=self._params.objective,
            share=proposal.share,
        )
        self._executor.submit(spec, self._data)
        self._deadline.trial_started(proposal.uid)
        logger.debug("trial %d: %s", proposal.trial.number, described(proposal.hyperparameters))

    def _handle(self, event: Event) -> None:
        if event.uid not in self._attempts:
            return
        if isinstance(event, EpochDone):
            self._on_epoch(event.uid, event.record)
        elif isinstance(event, TrialDone):
            self._on_done(event.uid, event.result)
        elif isinstance(event, TrialRaised):
            self._on_failure(event.uid, event.message, traceback=event.traceback, retry="no")
        elif isinstance(event, TrialLost) and event.with_machine:
            # A machine that was switched off says nothing against the trials that ran on it.
            logger.warning("trial %d: %s", self._attempts.number(event.uid), event.reason)
            self._attempts.fail(event.uid, event.reason, retry="free")
        elif isinstance(event, TrialLost):
            self._on_failure(event.uid, event.reason, traceback=None, retry="counted")

    def _on_epoch(self, uid: str, record: EpochRecord) -> None:
        self._deadline.epoch_ended(uid, record.epoch)
        attempt = self._attempts[uid]
        proposal = attempt.proposal
        portion = Portion(share=proposal.share, whole_epochs=self._params.num_epochs)
        min_epochs = self._min_epochs if proposal.hyperparameters.get("unfreeze") else 0
        has_value = self._attempts.keep_epoch(uid, record)
        is_judged = has_value and is_due(attempt.epochs, min_epochs=min_epochs)
        is_last = record.epoch + 1 >= portion.epochs
        is_pruned = is_judged and not is_last and proposal.trial.should_prune()
        attempt.is_cut_off = self._is_over and not is_last and not is_pruned
        self._executor.answer(uid, stop=is_pruned or attempt.is_cut_off)

    def _on_done(self, uid: str, result: TrialResult) -> None:
        if result.outcome == "stopped" and self._attempts[uid].is_cut_off:
            metrics = run_summary(result)
            self._attempts.fail(uid, OUT_OF_TIME, retry="free", metrics=metrics)
            return
        self._failures.clear()
        self._attempts.finish(uid, result)
        self._has_result = self._has_result or result.outcome == "complete"
        self._num_late -= self._deadline.is_over

    def _on_failure(self, uid: str, reason: str, *, traceback: str | None, retry: Retry) -> None:
        number = self._attempts.number(uid)
        self._attempts.fail(uid, reason, retry=retry, traceback=traceback)
        logger.warning("trial %d failed: %s", number, reason)
        self._failures.add(reason, has_traceback=traceback is not None)

    def _abandon_running(self, reason: str) -> None:
        """Closes what was left running, so that it is tried again the next time."""
        if self._attempts:
            self._executor.close()
        self._attempts.abandon(reason)


def is_over(study: Study, params: SearchParams) -> bool:
    """Whether a study has reached its target, and what goes on from it is done, too."""
    ladder = Ladder(params.num_rungs, max_retries=params.max_retries)
    return params.target is not None and not ladder.num_missing(trainings_of(study), params.target)
