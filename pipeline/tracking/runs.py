"""The MLflow runs of one study: a parent, and below it one run per training.

The driver is the only user, from one thread. Tell Optuna first and MLflow second: a crash between
the two then leaves a run that lacks something, which `reconcile` adds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.tracking import restore, writer
from pipeline.tracking.audit import Difference, compare
from pipeline.tracking.inputs import dataset_inputs
from pipeline.tracking.reconcile import Parent, find_parent, read_runs, repair
from pipeline.tracking.store import Store, open_store
from pipeline.tracking.trial_runs import PARTS_OF_STUDY, TrialRuns, now_ms
from pipeline.tracking.trials import Trial
from pipeline.tuning.records import Value


class StudyRuns(TrialRuns):
    """Writes what happens in one study to MLflow. Made by `StudyRuns.open`.

    As a context manager it closes the parent as FINISHED, after an error as FAILED, and after an
    interrupt as KILLED.

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
        identity: str,
        tags: Mapping[str, str],
        params: Mapping[str, Value],
    ) -> Self:
        """Opens the parent run of a study, RUNNING, created if there is none.

        Args:
            root: The repository.
            dataset: Names the experiment.
            study: Key below `studies`; begins the names of the runs.
            study_name: As Optuna calls it.
            identity: Hash of what makes trials comparable; another one is another parent.
            tags: Of the parent, such as `lineage.revision_tags`. `objective`, a key of
                `OBJECTIVES`, must be among them when the parent is created.
            params: Of the parent. One that has changed since the parent was created becomes a tag
                `latest.NAME`, since MLflow's parameters cannot change.

        Raises:
            ConfigError: If the store cannot be used.
        """
        store = open_store(root)
        experiment = store.experiment(dataset)
        own = {"role": "study", "study": study, "study_name": study_name, "identity": identity}
        found = find_parent(store, experiment, study_name=study_name, identity=identity)
        if found is None:
            run = store.client.create_run(experiment, run_name=study, tags={**tags, **own})
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
        return cls(store, Parent(experiment=experiment, run=store.client.get_run(run.info.run_id)))

    def log_inputs(self, split: Mapping[str, Any]) -> None:
        """Logs the dataset and its split as inputs, of the parent and of every later child.

        Args:
            split: `data/split.json`.
        """
        self._split = split
        self._client.log_inputs(self.run_id, dataset_inputs(split, PARTS_OF_STUDY))

    def log_artifacts(self, folder: Path) -> None:
        """Logs a folder's files as artifacts of the parent; files of the same name are replaced."""
        self._client.log_artifacts(self.run_id, str(folder))

    def import_trial(self, trial: Trial) -> None:
        """Writes the whole run of a trial of `study.json`, in place of one that exists."""
        restore.import_trial(self, trial)

    def amend_trial(self, trial: Trial, run_id: str) -> None:
        """Adds to a run what it lacks of its trial: parameters, epochs, value, status."""
        restore.amend_trial(self, trial, run_id)

    def reconcile(self, trials: Sequence[Trial]) -> list[Difference]:
        """Makes MLflow equal to the study, and closes what an earlier process left RUNNING.

        Only for who holds the study's lock: it takes every other RUNNING run for a dead one.

        Args:
            trials: All trials of the study, as in `study.json`.

        Returns:
            What differed, and now does not.
        """
        mine = {self.run_id, *(run.run_id for run in self._open.values())}
        runs = [
            run
            for run in read_runs(self.store, self.parent, metric=self.metric)
            if run.role == "trial" or run.run_id not in mine
        ]
        differences = compare(trials, runs)
        repair(self, trials, differences)
        return differences

    def close(self, status: str = "FINISHED") -> None:
        """Ends the parent run.

        Args:
            status: FINISHED, KILLED or FAILED.
        """
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
            self.close("FAILED" if issubclass(kind, Exception) else "KILLED")
