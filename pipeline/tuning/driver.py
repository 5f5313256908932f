"""The search driver: the only one that asks and tells Optuna, and the only writer of MLflow.

Workers train and nothing else. What is finished is written to the study first and mirrored to
MLflow after it, so that after a crash at any instant the study is the record and MLflow can be put
right from it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipeline.errors import StudyError
from pipeline.evaluation.metrics import ObjectiveSpec
from pipeline.seeds import derive_seed
from pipeline.tuning.executors.base import (
    EpochDone,
    Event,
    Executor,
    TrialDone,
    TrialLost,
    TrialRaised,
)
from pipeline.tuning.hyperparameters import Value, described
from pipeline.tuning.progress import Progress
from pipeline.tuning.records import DataReference, EpochRecord, TrialResult, TrialSpec
from pipeline.tuning.retries import fail_trial, retry_failed
from pipeline.tuning.samplers import build_sampler
from pipeline.tuning.space import Setting, suggest
from pipeline.tuning.study import num_finished, trial_dicts

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

logger = logging.getLogger(__name__)


class Recorder(Protocol):
    """Mirrors trials somewhere; `tracking.runs.StudyRuns` is the real one."""

    def start_trial(
        self,
        uid: str,
        *,
        number: int,
        hyperparameters: Mapping[str, Value],
        tags: Mapping[str, str],
    ) -> None:
        """A trial begins."""

    def log_epoch(self, uid: str, record: EpochRecord, *, at_ms: int) -> None:
        """An epoch of it ended, so many milliseconds after 1970 began."""

    def end_trial(
        self,
        uid: str,
        state: str,
        *,
        value: float | None,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        traceback: str | None,
    ) -> None:
        """It ended; `state` is COMPLETE, PRUNED or FAIL."""


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What a search is told, apart from its study, its workers and its data.

    Attributes:
        settings: What is searched or fixed.
        defaults: The value of everything else.
        target: Finished trials wanted in the study, >= 1.
        epochs: Most epochs of one trial, >= 1.
        seed: Root of every seed.
        sampler: A key of `SAMPLERS`.
        max_retries: How often a lost trial is tried again, >= 0.
        max_failures: The search stops after this many failed trials in a row, >= 1.
    """

    settings: Mapping[str, Setting]
    defaults: Mapping[str, Value]
    objective: str
    target: int
    epochs: int
    seed: int
    sampler: str
    max_retries: int
    max_failures: int


@dataclass
class _Running:
    trial: Trial
    epochs: list[dict[str, Any]] = field(default_factory=list)


class Driver:
    """Runs a study to its target.

    Args:
        study: The study, with its pruner set and no orphaned trials left in it.
        plan: What to search and how long.
        objective: The metric to judge by, and its direction.
        executor: Where trials run.
        recorder: Where they are mirrored.
        data: What workers train on.
        progress: Shows how far it is.
    """

    def __init__(
        self,
        study: Study,
        plan: SearchPlan,
        objective: ObjectiveSpec,
        *,
        executor: Executor,
        recorder: Recorder,
        data: DataReference,
        progress: Progress,
    ) -> None:
        self._study = study
        self._plan = plan
        self._objective = objective
        self._executor = executor
        self._recorder = recorder
        self._data = data
        self._progress = progress
        self._running: dict[str, _Running] = {}
        self._failures: list[str] = []

    def run(self) -> None:
        """Trains until the study holds its target of finished trials.

        Raises:
            StudyError: If too many trials fail in a row; the message holds their common cause.
        """
        try:
            while self._start_trials() or self._running:
                for event in self._executor.wait(timeout_seconds=0.5):
                    self._handle(event)
                self._progress.show(num_running=len(self._running))
        finally:
            self._abandon_running()

    def _start_trials(self) -> bool:
        """Fills the free workers; False when nothing is left to start."""
        missing = self._plan.target - num_finished(trial_dicts(self._study)) - len(self._running)
        for _ in range(min(missing, self._executor.num_free)):
            self._start_trial()
        return missing > 0

    def _start_trial(self) -> None:
        index = self._next_index()
        self._study.sampler = build_sampler(
            self._plan.sampler, seed=self._plan.seed, index=index, target=self._plan.target
        )
        trial = self._study.ask()
        index = int(trial.user_attrs.get("index", index))
        hyperparameters = suggest(self._plan.settings, self._plan.defaults, trial)
        seed = derive_seed(self._plan.seed, "training", index)
        uid = f"{self._study.user_attrs['identity'][:12]}-{trial.number:04d}"
        attrs = {
            "trial_uid": uid,
            "index": index,
            "seed": seed,
            "hyperparameters": hyperparameters,
        }
        for name, value in attrs.items():
            trial.set_user_attr(name, value)
        self._running[uid] = _Running(trial)
        self._recorder.start_trial(
            uid,
            number=trial.number,
            hyperparameters=hyperparameters,
            tags=self._tags(trial, seed),
        )
        spec = TrialSpec(
            uid=uid,
            hyperparameters=hyperparameters,
            seed=seed,
            epochs=self._plan.epochs,
            objective=self._plan.objective,
        )
        self._executor.submit(spec, self._data)
        logger.debug("trial %d: %s", trial.number, described(hyperparameters))

    def _next_index(self) -> int:
        """The logical index of a new trial: retries share theirs, so they do not advance it."""
        waiting = [t for t in trial_dicts(self._study) if t["state"] == "WAITING"]
        if waiting and "index" in waiting[0]["user_attrs"]:
            return int(waiting[0]["user_attrs"]["index"])
        taken = [int(t["user_attrs"].get("index", -1)) for t in trial_dicts(self._study)]
        return max(taken, default=-1) + 1

    def _tags(self, trial: Trial, seed: int) -> dict[str, str]:
        attrs = trial.user_attrs
        named = {"retry_of": attrs.get("retry_of"), "attempt": attrs.get("attempt"), "seed": seed}
        return {name: str(value) for name, value in named.items() if value is not None}

    def _handle(self, event: Event) -> None:
        if event.uid not in self._running:
            return
        if isinstance(event, EpochDone):
            self._on_epoch(event.uid, event.record)
        elif isinstance(event, TrialDone):
            self._on_done(event)
        elif isinstance(event, TrialRaised):
            self._on_failure(event.uid, event.message, traceback=event.traceback, retry="no")
        elif isinstance(event, TrialLost):
            self._on_failure(event.uid, event.reason, traceback=None, retry="counted")

    def _on_epoch(self, uid: str, record: EpochRecord) -> None:
        trial, at_ms = self._running[uid].trial, int(time.time() * 1000)
        metrics = {name: v for name, v in record.metrics.items() if math.isfinite(v)}
        value = metrics.get(self._objective.metric)
        stop = False
        if value is not None:
            trial.report(value, record.epoch)
            stop = record.epoch + 1 < self._plan.epochs and trial.should_prune()
        # The worker goes on before anything is logged: training never waits for the store.
        self._executor.answer(uid, stop=stop)
        epoch = {"epoch": record.epoch, "metrics": metrics, "at_ms": at_ms}
        self._running[uid].epochs.append(epoch)
        kept = EpochRecord(epoch=record.epoch, metrics=metrics)
        self._recorder.log_epoch(uid, kept, at_ms=at_ms)

    def _on_done(self, event: TrialDone) -> None:
        from optuna.trial import TrialState

        running, result = self._running[event.uid], event.result
        metrics = run_summary(result)
        value = metrics.get(self._objective.metric)
        # A diverged trial counts as pruned, not failed: samplers learn from pruned trials, and
        # would walk into the same region again if it were forgotten.
        is_complete = result.outcome == "complete" and value is not None
        outcome = "pruned" if result.outcome == "stopped" else result.outcome
        attrs: dict[str, Any] = {
            "outcome": outcome,
            "metrics": metrics,
            "epochs": running.epochs,
        }
        if value is not None:
            attrs["value"] = value
        for name, content in attrs.items():
            running.trial.set_user_attr(name, content)
        if is_complete:
            self._study.tell(running.trial, value)
        else:
            self._study.tell(running.trial, state=TrialState.PRUNED)
        self._failures.clear()
        state = "COMPLETE" if is_complete else "PRUNED"
        self._end(event.uid, state, value=value, metrics=metrics, tags={"outcome": outcome})

    def _on_failure(
        self, uid: str, reason: str, *, traceback: str | None, retry: Literal["no", "counted"]
    ) -> None:
        running = self._running[uid]
        running.trial.set_user_attr("epochs", running.epochs)
        if traceback:
            running.trial.set_user_attr("traceback", traceback)
        fail_trial(self._study, running.trial.number, reason=reason, retry=retry)
        retry_failed(self._study, max_retries=self._plan.max_retries)
        self._end(
            uid, "FAIL", value=None, metrics={}, tags={"reason": reason[:5000]}, traceback=traceback
        )
        logger.warning("trial %d failed: %s", running.trial.number, reason)
        self._failures.append(reason)
        if len(self._failures) >= self._plan.max_failures:
            raise StudyError(
                f"{len(self._failures)} trials failed in a row, the last with: {reason} "
                "(the whole traceback is an artifact of its MLflow run)."
            )

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

    def _abandon_running(self) -> None:
        """Closes what an interruption left running, so that it is tried again the next time."""
        if not self._running:
            return
        self._executor.close()
        states = {t["number"]: t["state"] for t in trial_dicts(self._study)}
        for uid, running in list(self._running.items()):
            # One that was told already, but not mirrored, is left to the next reconciliation.
            if states[running.trial.number] == "RUNNING":
                running.trial.set_user_attr("epochs", running.epochs)
                fail_trial(self._study, running.trial.number, reason="interrupted", retry="free")
                self._end(uid, "FAIL", value=None, metrics={}, tags={"reason": "interrupted"})
        retry_failed(self._study, max_retries=self._plan.max_retries)


def run_summary(result: TrialResult) -> dict[str, float]:
    """What a training gave, as the metrics that are logged once; those that are finite."""
    metrics = {
        **result.metrics,
        "num_parameters": float(result.num_parameters),
        "num_epochs": float(result.num_epochs),
        "training_seconds": result.seconds,
    }
    if result.best_epoch is not None:
        metrics["best_epoch"] = float(result.best_epoch)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
