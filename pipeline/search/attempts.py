"""The trials that are running, and what becomes of each: told to the study first, then mirrored.

After a crash at any instant the study is the record, and MLflow can be put right from it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.search.progress import Progress
from pipeline.search.proposals import Proposal
from pipeline.search.queue import close_orphans, fail_trial, retry_failed
from pipeline.training.messages import EpochRecord, TrialResult
from pipeline.trials.epochs import restored, stored
from pipeline.trials.health import verdict
from pipeline.trials.record import CUT_OFF, Epoch, State, TrialRecord
from pipeline.trials.recorder import Recorder, run_summary

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)

Retry = Literal["no", "counted", "free"]


@dataclass
class Attempt:
    """A trial that is running.

    Attributes:
        proposal: What it tries.
        epochs: Those that have ended.
        stored: The same as the study holds them.
        is_cut_off: Whether it was told to stop because the time is up.
    """

    proposal: Proposal
    epochs: list[Epoch] = field(default_factory=list)
    stored: list[dict[str, object]] = field(default_factory=list)
    is_cut_off: bool = False


class Attempts:
    """Keeps study and record in step with what the workers say.

    Args:
        study: The study.
        recorder: Where its trials are mirrored.
        progress: Keeps how far the search is.
        objective: What the trials are judged by.
        max_retries: How often a trial that was lost by its own fault is tried again.
    """

    def __init__(
        self,
        study: Study,
        recorder: Recorder,
        progress: Progress,
        *,
        objective: ObjectiveSpec,
        max_retries: int,
    ) -> None:
        self._study = study
        self._recorder = recorder
        self._progress = progress
        self._objective = objective
        self._max_retries = max_retries
        self._running: dict[str, Attempt] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, uid: str) -> bool:
        return uid in self._running

    def __getitem__(self, uid: str) -> Attempt:
        return self._running[uid]

    @property
    def running(self) -> Collection[Attempt]:
        """All that are running."""
        return self._running.values()

    def number(self, uid: str) -> int:
        """Returns the number of a running trial."""
        return int(self._running[uid].proposal.trial.number)

    def open(self, proposal: Proposal) -> None:
        """Takes note of a trial that begins."""
        self._running[proposal.uid] = Attempt(proposal)
        self._recorder.start_trial(
            proposal.uid,
            number=proposal.trial.number,
            hyperparameters=proposal.hyperparameters,
            tags=proposal.tags,
        )

    def reuse(self, proposal: Proposal, former: FrozenTrial) -> None:
        """Gives a trial the result of the one that had the same hyperparameters."""
        self.open(proposal)
        for epoch in former.user_attrs.get("epochs", []):
            self.keep_epoch(proposal.uid, restored(epoch))
        self._finish(
            proposal.uid,
            outcome=former.user_attrs["outcome"],
            metrics=former.user_attrs["metrics"],
            is_complete=former.state.name == "COMPLETE",
        )
        logger.info("trial %d is trial %d again", proposal.trial.number, former.number)

    def keep_epoch(self, uid: str, record: EpochRecord) -> bool:
        """Reports an epoch to study and record; whether it had a value to judge it by."""
        attempt, at_ms = self._running[uid], int(time.time() * 1000)
        trial = attempt.proposal.trial
        metrics = record.finite_metrics
        value = metrics.get(self._objective.metric)
        attempt.epochs.append(Epoch(epoch=record.epoch, metrics=metrics, at_ms=at_ms))
        attempt.stored.append(stored(record, at_ms=at_ms))
        # All of them again: up to some hundred epochs, that takes no longer than one more row.
        trial.set_user_attr("epochs", attempt.stored)
        if value is not None:
            trial.report(value, record.epoch)
        kept = EpochRecord(epoch=record.epoch, metrics=metrics)
        self._recorder.log_epoch(uid, kept, at_ms=at_ms)
        return value is not None

    def finish(self, uid: str, result: TrialResult) -> None:
        """Ends a trial with what its training gave.

        A diverged trial counts as pruned, not failed: samplers learn from pruned trials, and would
        walk into the same region again if it were forgotten.
        """
        metrics = run_summary(result)
        is_complete = result.outcome == "complete" and self._objective.metric in metrics
        outcome = "pruned" if result.outcome == "stopped" else result.outcome
        self._finish(uid, outcome=outcome, metrics=metrics, is_complete=is_complete)

    def _finish(
        self, uid: str, *, outcome: str, metrics: Mapping[str, float], is_complete: bool
    ) -> None:
        from optuna.trial import TrialState

        trial, value = self._running[uid].proposal.trial, metrics.get(self._objective.metric)
        attrs = {"outcome": outcome, "metrics": dict(metrics)}
        for name, content in (attrs if value is None else {**attrs, "value": value}).items():
            trial.set_user_attr(name, content)
        if is_complete:
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)
        state: State = "COMPLETE" if is_complete else "PRUNED"
        self._end(uid, state, value=value, metrics=metrics, tags={"outcome": outcome})

    def fail(
        self,
        uid: str,
        reason: str,
        *,
        retry: Retry,
        metrics: Mapping[str, float] | None = None,
        traceback: str | None = None,
    ) -> None:
        """Ends an attempt that gave no result, and queues the next one where that may give one."""
        trial = self._running[uid].proposal.trial
        if metrics:
            trial.set_user_attr("metrics", dict(metrics))
        if traceback:
            trial.set_user_attr("traceback", traceback)
        fail_trial(self._study, trial.number, reason=reason, retry=retry)
        retry_failed(self._study, max_retries=self._max_retries)
        tags = {"reason": reason[:5000]}
        self._end(
            uid,
            "FAIL",
            value=None,
            metrics=metrics or {},
            tags=tags,
            traceback=traceback,
            is_cut_off=retry == "free",
        )

    def _end(
        self,
        uid: str,
        state: State,
        *,
        value: float | None,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        traceback: str | None = None,
        is_cut_off: bool = False,
    ) -> None:
        attempt = self._running.pop(uid)
        proposal = attempt.proposal
        found = verdict(
            TrialRecord(
                number=proposal.trial.number,
                state=state,
                attributes={**tags, "epochs": attempt.stored, "metrics": metrics},
            )
        )
        tags = {**tags, **found.tags}
        self._recorder.end_trial(
            uid, state, value=value, metrics=metrics, tags=tags, traceback=traceback
        )
        ended = CUT_OFF if is_cut_off else state
        is_copy = proposal.duplicate is not None
        self._progress.trial_ended(ended, value, rung=proposal.rung, is_copy=is_copy)

    def abandon(self, reason: str) -> None:
        """Closes what was left running, so that it is tried again the next time."""
        trials = self._study.get_trials(deepcopy=False)
        for uid, attempt in list(self._running.items()):
            # One that was told already, but not mirrored, is left to the next reconciliation.
            if trials[attempt.proposal.trial.number].state.name == "RUNNING":
                self.fail(uid, reason, retry="free")
        # A signal may come between the question to Optuna and the first note of its answer here.
        close_orphans(self._study, max_retries=self._max_retries, reason=reason)
