"""The MLflow runs of one study: a parent, and below it one run per training.

The driver is the only user: through a `thread.Mirror`, whose thread writes the runs of trainings
while they run, and directly before and after. Tell Optuna first and MLflow second: a crash between
the two then leaves a run that lacks something, which `reconcile` adds.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.databases import first_line
from pipeline.hyperparameter import Value
from pipeline.open_databases import lost_in
from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.dataset_inputs import dataset_inputs
from pipeline.records.mirror.differences import Difference, compare
from pipeline.records.mirror.outage import (
    answering,
    impatient_requests,
    is_gone,
    outage_of,
    store_errors,
)
from pipeline.records.mirror.presentation import present
from pipeline.records.mirror.projection import PARTS_OF_STUDY, Parent, TrialRuns, now_ms
from pipeline.records.mirror.reconcile import close_abandoned, find_parent, read_runs, repair
from pipeline.records.mirror.store import Store, open_store
from pipeline.split_record import SplitRecord
from pipeline.trials.record import TrialRecord

logger = logging.getLogger(__name__)

# After an interrupt the stage ends within seconds; a healthy store closes a run in 0.1 s.
LAST_REQUEST_SECONDS = 3


class StudyRuns(TrialRuns):
    """Writes what happens in one study to MLflow. Made by `StudyRuns.open`.

    As a context manager it closes the parent as FINISHED, after an error as FAILED, and after an
    interrupt as KILLED. Where the store is away by then, an error stays the error that it was, and
    the parent stays RUNNING until the next start.

    Args:
        store: An open store.
        parent: The study's own run.
    """

    def __init__(self, store: Store, parent: Parent) -> None:
        super().__init__(store, parent)
        self._is_closed = False

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        dataset: str,
        study: str,
        study_name: str,
        study_uid: str,
        tags: Mapping[str, str],
        params: Mapping[str, Value],
    ) -> Self:
        """Opens the parent run of a study, RUNNING, created if there is none.

        Args:
            root: The repository.
            dataset: Names the experiment.
            study: Key below `studies`; begins the names of the runs.
            study_name: As Optuna calls it.
            study_uid: As from `store.mirror_uid`; another one is another parent.
            tags: Of the parent, such as `lineage.revision_tags`. `objective`, a key of
                `OBJECTIVES`, must be among them when the parent is created.
            params: Of the parent. One that has changed since the parent was created becomes a tag
                `latest.NAME`, since MLflow's parameters cannot change.

        Raises:
            ConfigError: If the store cannot be used.
            StudyError: If it goes away meanwhile.
        """
        store = open_store(root)
        with answering(store.uri):
            parent = cls._open_parent(
                store,
                store.experiment(dataset),
                own={
                    "role": "study",
                    "study": study,
                    "study_name": study_name,
                    "study_uid": study_uid,
                },
                tags=tags,
                params=params,
            )
        return cls(store, parent)

    @staticmethod
    def _open_parent(
        store: Store,
        experiment: str,
        *,
        own: Mapping[str, str],
        tags: Mapping[str, str],
        params: Mapping[str, Value],
    ) -> Parent:
        found = find_parent(store, experiment, study_uid=own["study_uid"])
        if found is None:
            run = store.client.create_run(experiment, run_name=own["study"], tags={**tags, **own})
        else:
            run = found.run
            store.client.update_run(run.info.run_id, status="RUNNING")
        changed = writer.changed_params(run.data.params, params)
        writer.log(
            store.client,
            run.info.run_id,
            params={k: str(v) for k, v in params.items() if f"latest.{k}" not in changed},
            tags={**tags, **changed, **own, "opened_at": str(now_ms())},
        )
        return Parent(experiment=experiment, run=store.client.get_run(run.info.run_id))

    def log_inputs(self, split: SplitRecord) -> None:
        """Logs the dataset and its split as inputs, of the parent and of every later child.

        Args:
            split: The data set and its division.
        """
        self._split = split
        with answering(self.store.uri):
            self._client.log_inputs(self.run_id, dataset_inputs(split, PARTS_OF_STUDY))

    def log_artifacts(self, folder: Path, *files: Path) -> None:
        """Logs a folder's files as artifacts of the parent; files of the same name are replaced.

        Args:
            folder: Whose files are logged.
            files: Further ones; those that are not there are left out.

        Raises:
            StudyError: If the store is away.
        """
        with answering(self.store.uri):
            self._client.log_artifacts(self.run_id, str(folder))
            for file in files:
                if file.is_file():
                    self._client.log_artifact(self.run_id, str(file))

    def present(self, trials: Sequence[TrialRecord]) -> int:
        """Writes descriptions, marks of what does not apply, and the view that the UI opens at.

        Args:
            trials: All trials of the study.

        Returns:
            How many runs lacked something.

        Raises:
            StudyError: If the store is away.
        """
        with answering(self.store.uri):
            return len(present(self.store, self.parent, trials).runs)

    def reconcile(
        self, trials: Sequence[TrialRecord], *, is_thorough: bool = False
    ) -> list[Difference]:
        """Makes MLflow equal to the study, and closes what an earlier process left RUNNING in it.

        Only for who holds the study's lock: it takes every other RUNNING run for a dead one.

        Args:
            trials: All trials of the study.
            is_thorough: Whether to read the history of every metric. The driver sends all of an
                epoch at once, so what a kill interrupts can be told by that of the objective.

        Returns:
            What differed, and now does not.

        Raises:
            StudyError: If the store goes away meanwhile.
        """
        self._check_owner()
        with answering(self.store.uri):
            return self._reconcile(trials, is_thorough=is_thorough)

    def close_abandoned(self, uids: Collection[str]) -> None:
        """Closes what a killed search of an earlier space, training or data left RUNNING.

        Args:
            uids: As from `store.mirror_uid`, of the studies that are kept where this one is.

        Raises:
            StudyError: If the store goes away meanwhile.
        """
        with answering(self.store.uri):
            close_abandoned(self.store, self.parent, uids)

    def _reconcile(self, trials: Sequence[TrialRecord], *, is_thorough: bool) -> list[Difference]:
        mine = {self.run_id, *(run.run_id for run in self._open.values())}
        runs = [
            run
            for run in read_runs(
                self.store, self.parent, metric=None if is_thorough else self.metric
            )
            if run.role == "trial" or run.run_id not in mine
        ]
        differences = compare(trials, runs, metric=self.metric)
        repair(self, trials, differences)
        return differences

    def close(self, status: str = "FINISHED") -> None:
        """Ends the parent run.

        Args:
            status: FINISHED, KILLED or FAILED.

        Raises:
            StudyError: If the store is away.
        """
        with answering(self.store.uri):
            self._client.set_terminated(self.run_id, status)
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_closed:
            return
        if kind is None:
            self.close()
        else:
            self._close_after("FAILED" if issubclass(kind, Exception) else "KILLED")

    def settle(self, trials: Sequence[TrialRecord]) -> None:
        """Makes MLflow equal to the study after an interrupt, as far as the store answers at once.

        Args:
            trials: All trials of the study. None of them runs any more.
        """
        self._last_requests(lambda: self._reconcile(trials, is_thorough=False))

    def _close_after(self, status: str) -> None:
        self._last_requests(lambda: self._client.set_terminated(self.run_id, status))

    def _last_requests(self, send: Callable[[], object]) -> None:
        with impatient_requests(LAST_REQUEST_SECONDS):
            try:
                send()
            except store_errors() as error:
                outage, lost = outage_of(error), lost_in(error)
                if lost is not None:
                    return  # The error that ended the block says so.
                if outage is None and not is_gone(error):
                    raise
                # The error that ended the block is what the user should read.
                reason = outage.reason if outage else first_line(error)
                logger.warning("MLflow is put right by the next start: %s", reason)
