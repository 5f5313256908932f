"""The search engine: the only one that asks and tells Optuna, and the only writer of MLflow.

Workers train and nothing else. What happens, each epoch too, is written to the study first and
mirrored to MLflow after it, so that after a crash at any instant the study is the record and MLflow
can be put right from it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.processes import raise_received
from pipeline.search.budget import Deadline, FailureStreak
from pipeline.search.executors.base import (
    EpochDone,
    Event,
    Executor,
    TrialDone,
    TrialLost,
    TrialRaised,
)
from pipeline.search.params import SearchParams
from pipeline.search.progress import Progress
from pipeline.search.proposals import Proposal, Proposals
from pipeline.search.pruners import is_due
from pipeline.search.queue import close_orphans, fail_trial, retry_failed
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.hyperparameters import described
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec
from pipeline.trials.record import FINISHED, Epoch
from pipeline.trials.recorder import Recorder, run_summary

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

logger = logging.getLogger(__name__)

OUT_OF_TIME = "the search's time was up"


@dataclass
class _Running:
    trial: Trial
    min_epochs: int  # of phase 2, before the pruner may stop it; 0 where there is none
    epochs: list[Epoch] = field(default_factory=list)
    is_cut_off: bool = False


class Engine:
    """Runs a study to its target.

    Args:
        study: The study, with its pruner set and no orphaned trials left in it.
        space: What its trials can be.
        params: Section `search`: target, epochs, sampler, retries.
        limit_seconds: The search ends after that long, plus one epoch; None: no limit.
        executor: Where trials run.
        recorder: Where they are mirrored.
        data: What workers train on.
        progress: Shows how far it is.
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
        self._study = study
        self._params = params
        self._objective = OBJECTIVES[params.objective]
        self._executor = executor
        self._recorder = recorder
        self._data = data
        self._progress = progress
        self._proposals = Proposals(study, space, params)
        self._min_epochs = params.pruner.first_judgement(params.epochs)
        self._deadline = Deadline(limit_seconds, min_epochs=self._min_epochs)
        trials = study.get_trials(deepcopy=False)
        self._num_finished = sum(trial.state.name in FINISHED for trial in trials)
        self._running: dict[str, _Running] = {}
        self._failures = FailureStreak(params.max_failures)

    def run(self) -> int:
        """Trains until the study holds its target of finished trials, or the time is up.

        Returns:
            How many finished trials are missing; 0 unless the time was up.

        Raises:
            StudyError: If too many trials fail in a row; the message holds their common cause.
        """
        try:
            while (self._start_trials() or self._running) and not self._deadline.is_overdue:
                raise_received()
                for event in self._executor.wait(timeout_seconds=0.5):
                    self._handle(event)
                self._progress.show(num_running=len(self._running))
        finally:
            self._abandon_running(OUT_OF_TIME if self._deadline.is_over else "interrupted")
        return self._num_missing

    def _number(self, uid: str) -> int:
        return int(self._running[uid].trial.number)

    @property
    def _num_missing(self) -> int:
        return max(0, self._params.trials - self._num_finished)

    def _start_trials(self) -> bool:
        """Fills the free workers; False when nothing may be started any more."""
        while self._num_missing > len(self._running) and self._deadline.has_room():
            if not self._executor.num_free:
                return True
            proposal = self._proposals.ask()
            if proposal.duplicate is None:
                self._start(proposal)
            else:
                self._reuse(proposal, proposal.duplicate)
        return False

    def _open(self, proposal: Proposal) -> None:
        two_phases = bool(proposal.hyperparameters.get("unfreeze"))
        self._running[proposal.uid] = _Running(proposal.trial, self._min_epochs * two_phases)
        self._recorder.start_trial(
            proposal.uid,
            number=proposal.trial.number,
            hyperparameters=proposal.hyperparameters,
            tags=proposal.tags,
        )

    def _start(self, proposal: Proposal) -> None:
        self._open(proposal)
        spec = TrialSpec(
            uid=proposal.uid,
            hyperparameters=proposal.hyperparameters,
            seed=proposal.seed,
            epochs=self._params.epochs,
            objective=self._params.objective,
        )
        self._executor.submit(spec, self._data)
        self._deadline.trial_started(proposal.uid)
        logger.debug("trial %d: %s", proposal.trial.number, described(proposal.hyperparameters))

    def _reuse(self, proposal: Proposal, former: FrozenTrial) -> None:
        """Gives a trial the result of the one that had the same hyperparameters."""
        self._open(proposal)
        for epoch in former.user_attrs.get("epochs", []):
            record = EpochRecord(epoch=epoch["epoch"], metrics=epoch["metrics"])
            self._keep_epoch(proposal.uid, record)
        self._finish(
            proposal.uid,
            outcome=former.user_attrs["outcome"],
            metrics=former.user_attrs["metrics"],
            is_complete=former.state.name == "COMPLETE",
        )
        logger.info("trial %d is trial %d again", proposal.trial.number, former.number)

    def _handle(self, event: Event) -> None:
        if event.uid not in self._running:
            return
        if isinstance(event, EpochDone):
            self._on_epoch(event.uid, event.record)
        elif isinstance(event, TrialDone):
            self._on_done(event.uid, event.result)
        elif isinstance(event, TrialRaised):
            self._on_failure(event.uid, event.message, traceback=event.traceback, retry="no")
        elif isinstance(event, TrialLost) and event.with_machine:
            # A machine that was switched off says nothing against the trials that ran on it.
            logger.warning("trial %d: %s", self._number(event.uid), event.reason)
            self._fail(event.uid, event.reason, retry="free")
        elif isinstance(event, TrialLost):
            self._on_failure(event.uid, event.reason, traceback=None, retry="counted")

    def _on_epoch(self, uid: str, record: EpochRecord) -> None:
        self._deadline.epoch_ended(uid, record.epoch)
        running = self._running[uid]
        has_value = self._keep_epoch(uid, record)
        is_judged = has_value and is_due(running.epochs, min_epochs=running.min_epochs)
        is_last = record.epoch + 1 >= self._params.epochs
        is_pruned = is_judged and not is_last and running.trial.should_prune()
        running.is_cut_off = self._deadline.is_over and not is_last and not is_pruned
        self._executor.answer(uid, stop=is_pruned or running.is_cut_off)

    def _keep_epoch(self, uid: str, record: EpochRecord) -> bool:
        """Reports an epoch to study and record; whether it had a value to judge it by."""
        running, at_ms = self._running[uid], int(time.time() * 1000)
        metrics = {name: v for name, v in record.metrics.items() if math.isfinite(v)}
        value = metrics.get(self._objective.metric)
        running.epochs.append(Epoch(epoch=record.epoch, metrics=metrics, at_ms=at_ms))
        # All of them again: up to some hundred epochs, that takes no longer than one more row.
        running.trial.set_user_attr("epochs", [asdict(epoch) for epoch in running.epochs])
        if value is not None:
            running.trial.report(value, record.epoch)
        kept = EpochRecord(epoch=record.epoch, metrics=metrics)
        self._recorder.log_epoch(uid, kept, at_ms=at_ms)
        return value is not None

    def _on_done(self, uid: str, result: TrialResult) -> None:
        metrics = run_summary(result)
        if result.outcome == "stopped" and self._running[uid].is_cut_off:
            self._fail(uid, OUT_OF_TIME, retry="free", metrics=metrics)
            return
        self._failures.clear()
        # A diverged trial counts as pruned, not failed: samplers learn from pruned trials, and
        # would walk into the same region again if it were forgotten.
        is_complete = result.outcome == "complete" and self._objective.metric in metrics
        outcome = "pruned" if result.outcome == "stopped" else result.outcome
        self._finish(uid, outcome=outcome, metrics=metrics, is_complete=is_complete)

    def _finish(
        self, uid: str, *, outcome: str, metrics: Mapping[str, float], is_complete: bool
    ) -> None:
        from optuna.trial import TrialState

        running, value = self._running[uid], metrics.get(self._objective.metric)
        attrs = {"outcome": outcome, "metrics": dict(metrics)}
        for name, content in (attrs if value is None else {**attrs, "value": value}).items():
            running.trial.set_user_attr(name, content)
        if is_complete:
            self._study.tell(running.trial, value)
        else:
            self._study.tell(running.trial, state=TrialState.PRUNED)
        self._num_finished += 1
        state = "COMPLETE" if is_complete else "PRUNED"
        self._end(uid, state, value=value, metrics=metrics, tags={"outcome": outcome})

    def _on_failure(
        self, uid: str, reason: str, *, traceback: str | None, retry: Literal["no", "counted"]
    ) -> None:
        number = self._number(uid)
        self._fail(uid, reason, retry=retry, traceback=traceback)
        logger.warning("trial %d failed: %s", number, reason)
        self._failures.add(reason, has_traceback=traceback is not None)

    def _fail(
        self,
        uid: str,
        reason: str,
        *,
        retry: Literal["no", "counted", "free"],
        metrics: Mapping[str, float] | None = None,
        traceback: str | None = None,
    ) -> None:
        """Ends an attempt that gave no result, and queues the next one where that may give one."""
        running = self._running[uid]
        if metrics:
            running.trial.set_user_attr("metrics", dict(metrics))
        if traceback:
            running.trial.set_user_attr("traceback", traceback)
        fail_trial(self._study, running.trial.number, reason=reason, retry=retry)
        retry_failed(self._study, max_retries=self._params.max_retries)
        tags = {"reason": reason[:5000]}
        self._end(uid, "FAIL", value=None, metrics=metrics or {}, tags=tags, traceback=traceback)

    def _end(
        self,
        uid: str,
        state: str,
        *,
        value: float | None,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        traceback: str | None = None,
    ) -> None:
        del self._running[uid]
        self._recorder.end_trial(
            uid, state, value=value, metrics=metrics, tags=tags, traceback=traceback
        )
        self._progress.trial_ended(state, value)

    def _abandon_running(self, reason: str) -> None:
        """Closes what was left running, so that it is tried again the next time."""
        if self._running:
            self._executor.close()
        trials = self._study.get_trials(deepcopy=False)
        for uid, running in list(self._running.items()):
            # One that was told already, but not mirrored, is left to the next reconciliation.
            if trials[running.trial.number].state.name == "RUNNING":
                self._fail(uid, reason, retry="free")
        # A signal may come between the question to Optuna and the first note of its answer here.
        close_orphans(self._study, max_retries=self._params.max_retries, reason=reason)
