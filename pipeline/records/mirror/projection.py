"""The MLflow runs of a study's trainings, each written as it happens: start, epochs, end.

Every method takes plain data and may be repeated: a record that was sent before, with its time,
changes nothing, whether its answer was lost or only half of it done.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.hyperparameter import Value
from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.dataset_inputs import dataset_inputs
from pipeline.records.mirror.expected_run import STATUS_OF_STATE, beside_curves
from pipeline.records.mirror.notes import note_tags, training_note
from pipeline.records.mirror.store import Store
from pipeline.split_record import SplitRecord
from pipeline.training.messages import EpochRecord

if TYPE_CHECKING:
    from mlflow.entities import Run

PARTS_OF_STUDY = ("train", "val", "confirmation")
PARTS_OF_TRIAL = ("train", "val")


class RunGoneError(Exception):
    """The run of a training is not there: its start was left out, since its study was deleted."""


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The run of a whole study.

    Attributes:
        experiment: The experiment's id.
        run: As MLflow holds it.
    """

    experiment: str
    run: "Run"


@dataclass(kw_only=True)
class OpenRun:
    """A child run that is being written.

    Attributes:
        run_id: MLflow's own.
        started: When it started, milliseconds since 1970.
        epoch_metrics: Names that were logged after an epoch.
    """

    run_id: str
    started: int
    epoch_metrics: set[str] = field(default_factory=set)


class TrialRuns:
    """Writes the runs below one parent.

    **Threads.** What is open is kept here without a lock, so one thread at a time writes runs:
    the one that `owned_by` names, or anybody while it names none.

    Args:
        store: An open store.
        parent: The study's own run, with its tags `study`, `study_uid` and `objective`.

    Attributes:
        store: As given.
        parent: As given.
        metric: The objective's name among an epoch's metrics.
    """

    def __init__(self, store: Store, parent: Parent) -> None:
        tags = parent.run.data.tags
        self.store = store
        self.parent = parent
        self.metric = OBJECTIVES[tags["objective"]].metric
        self._study: str = tags["study"]
        self._client = store.client
        self._split: SplitRecord | None = None
        self._open: dict[str, OpenRun] = {}
        self._ended: set[str] = set()
        self._owner: int | None = None

    @property
    def run_id(self) -> str:
        """MLflow's id of the parent run."""
        return str(self.parent.run.info.run_id)

    def owned_by(self, thread: int | None) -> None:
        """Leaves the writing of runs to one thread, by its ident; None: to whoever comes."""
        self._owner = thread

    def start_trial(
        self,
        uid: str,
        *,
        number: int,
        hyperparameters: Mapping[str, Value],
        tags: Mapping[str, str],
        at_ms: int | None = None,
    ) -> str:
        """Opens the run of one training, if it is not open, and returns its id.

        A run of the same uid that another process began, at another time, is what is left of the
        same training before it was interrupted or done anew; it goes to MLflow's trash.

        Args:
            uid: Names this attempt; any text without quotes that names no other.
            number: Of the trial, >= 0.
            hyperparameters: All active ones.
            tags: `role` is `trial` unless given; another role, such as `confirm`, is a training
                that is no trial of the study.
            at_ms: When it started, milliseconds since 1970; now unless given.
        """
        self._check_owner()
        if uid in self._open:
            return self._open[uid].run_id
        started = now_ms() if at_ms is None else at_ms
        run_id = self._find_started(uid, started)
        if run_id is None:
            run = self._client.create_run(
                self.parent.experiment,
                start_time=started,
                run_name=_run_name(self._study, number, tags),
                tags=self._child_tags(uid, number, tags),
            )
            run_id = str(run.info.run_id)
        params = {name: str(value) for name, value in hyperparameters.items()}
        writer.log(self._client, run_id, params=params)
        self._log_child_inputs(run_id, tags.get("role", "trial"))
        self._open[uid] = OpenRun(run_id=run_id, started=started)
        return run_id

    def log_epoch(self, uid: str, record: EpochRecord, *, at_ms: int | None = None) -> None:
        """Logs what one epoch gave, at step `record.epoch`, in one request.

        Of what is not finite the epoch has no point.

        Args:
            uid: As given to `start_trial`.
            record: The epoch's metrics.
            at_ms: When it ended, milliseconds since 1970; now unless given.
        """
        self._check_owner()
        run = self._open_run(uid)
        run.epoch_metrics |= record.metrics.keys()
        at = now_ms() if at_ms is None else at_ms
        writer.log(
            self._client,
            run.run_id,
            metrics=writer.points(
                writer.led_by(self.metric, record.metrics), step=record.epoch, at_ms=at
            ),
        )

    def end_trial(
        self,
        uid: str,
        state: str,
        *,
        value: float | None,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        traceback: str | None,
        at_ms: int | None = None,
    ) -> None:
        """Ends a run with the status that its trial's state has.

        Args:
            uid: As given to `start_trial`.
            state: COMPLETE, PRUNED or FAIL: FINISHED, KILLED or FAILED.
            value: What Optuna was told, or None; logged as `value`.
            metrics: Measured once. A name that was logged after each epoch gets `best_` before it,
                so that it is no further point of that curve.
            tags: Further tags, such as why it failed.
            traceback: Kept as artifact `traceback.txt`.
            at_ms: When it ended, milliseconds since 1970; now unless given.
        """
        self._check_owner()
        run = self._open_run(uid)
        at = now_ms() if at_ms is None else at_ms
        named = beside_curves(metrics, run.epoch_metrics)
        if value is not None:
            named["value"] = value
        if traceback:
            self._client.log_text(run.run_id, traceback, "traceback.txt")
        writer.log(
            self._client,
            run.run_id,
            metrics=writer.points(named, step=0, at_ms=at),
            tags=tags,
        )
        self._client.set_terminated(run.run_id, STATUS_OF_STATE[state], end_time=at)
        self.leave(uid)

    def leave(self, uid: str) -> None:
        """Counts the run of a training as whole, and as the only one that its start made."""
        run = self._open_run(uid)
        if self.store.is_server:
            self._trash_twins(uid, run)
        self._ended.add(run.run_id)
        del self._open[uid]

    def trash(self, run_id: str) -> None:
        """Moves a run to MLflow's trash, from where `mlflow runs restore` brings it back."""
        self._client.delete_run(run_id)

    def end_run(self, run_id: str) -> None:
        """Closes a run whose process is dead, as KILLED."""
        self._client.set_terminated(run_id, "KILLED")

    def runs_of(self, uid: str) -> "list[Run]":
        """Returns the runs of one training that are not in the trash, latest first."""
        condition = f"tags.trial_uid = '{uid}' and tags.`mlflow.parentRunId` = '{self.run_id}'"
        return self.store.search_runs(self.parent.experiment, condition)

    def forget(self, uid: str) -> None:
        """Moves every run of one training to the trash."""
        self._check_owner()
        for run in self.runs_of(uid):
            self.trash(run.info.run_id)
        self._open.pop(uid, None)

    def _find_started(self, uid: str, started: int) -> str | None:
        same: str | None = None
        for run in self.runs_of(uid):
            if run.info.start_time == started and same is None:
                same = str(run.info.run_id)
            elif run.info.run_id not in self._ended:
                self.trash(run.info.run_id)
        return same

    def _trash_twins(self, uid: str, run: OpenRun) -> None:
        # A request that was given up may still be done by a slow server: a run that was asked for
        # twice can turn up at any time before the training ends.
        for other in self.runs_of(uid):
            if other.info.run_id != run.run_id and other.info.start_time == run.started:
                self.trash(other.info.run_id)

    def _check_owner(self) -> None:
        if self._owner not in (None, threading.get_ident()):
            raise RuntimeError("Another thread writes the runs of this study just now.")

    def _open_run(self, uid: str) -> OpenRun:
        if uid not in self._open:
            raise RunGoneError(f"there is no run of trial {uid}")
        return self._open[uid]

    def _child_tags(self, uid: str, number: int, tags: Mapping[str, str]) -> dict[str, str]:
        note = {}
        if tags.get("role") == "confirm":
            note = note_tags(training_note(number, tags.get("seed", ""), self._study), {})
        return {
            "role": "trial",
            **tags,
            **note,
            "mlflow.parentRunId": self.run_id,
            "trial_uid": uid,
            "trial": str(number),
            "study": self._study,
        }

    def _log_child_inputs(self, run_id: str, role: str) -> None:
        if self._split is not None:
            parts = PARTS_OF_TRIAL if role == "trial" else PARTS_OF_STUDY
            self._client.log_inputs(run_id, dataset_inputs(self._split, parts))


def now_ms() -> int:
    """Returns the time as MLflow counts it: milliseconds since 1970."""
    return int(time.time() * 1000)


def _run_name(study: str, number: int, tags: Mapping[str, str]) -> str:
    parts = [study, f"{number:04d}"]
    if tags.get("role", "trial") != "trial":
        parts += [tags["role"], tags.get("seed", "")]
    return "-".join(part for part in parts if part)
