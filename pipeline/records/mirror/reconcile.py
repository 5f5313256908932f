"""Makes MLflow equal to the study again: reads a study's runs, and removes each difference."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.records.mirror.differences import Difference
from pipeline.records.mirror.expected_run import RunRecord
from pipeline.records.mirror.store import Store
from pipeline.trials.record import Trial

if TYPE_CHECKING:
    from mlflow.entities import Run


class Repairable(Protocol):
    """What a repair needs; `StudyRuns` has it."""

    def import_trial(self, trial: Trial) -> None:
        """Writes the whole run of a trial."""

    def amend_trial(self, trial: Trial, run_id: str) -> None:
        """Adds to a run what it lacks."""

    def trash(self, run_id: str) -> None:
        """Moves a run to MLflow's trash, from where `mlflow runs restore` brings it back."""

    def end_run(self, run_id: str) -> None:
        """Closes a run that nobody works on."""


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The run of a whole study.

    Attributes:
        experiment: The experiment's id.
        run: As MLflow holds it.
    """

    experiment: str
    run: "Run"


def find_parent(store: Store, experiment: str, *, study_uid: str) -> Parent | None:
    """Returns the parent run of a study, or None.

    Args:
        store: An open store.
        experiment: The experiment's id.
        study_uid: As from `store.mirror_uid`.
    """
    found = [
        run
        for run in store.search_runs(experiment, "tags.role = 'study'")
        if run.data.tags.get("study_uid") == study_uid
    ]
    if not found:
        return None
    latest = max(found, key=lambda run: int(run.data.tags.get("opened_at", "0")))
    return Parent(experiment=experiment, run=latest)


def close_abandoned(store: Store, parent: Parent, uids: Collection[str]) -> int:
    """Closes the RUNNING runs of earlier identities of a study, which a killed search left.

    Only for who holds the study's lock: then nobody works on any of them.

    Args:
        store: An open store.
        parent: The study's own run, which is left alone with its children.
        uids: As from `store.mirror_uid`, of the studies that are kept where this one is. Others of
            the same name are searched elsewhere, under another lock.

    Returns:
        How many were closed: trainings as FAILED, as their trials are, and parents as KILLED.
    """
    tags = parent.run.data.tags
    others = [
        run
        for run in store.search_runs(parent.experiment, "tags.role = 'study'")
        if run.data.tags.get("study_name") == tags["study_name"]
        and run.info.run_id != parent.run.info.run_id
        and run.data.tags.get("study_uid") in uids
        and run.info.status == "RUNNING"
    ]
    count = 0
    for other in others:
        condition = f"tags.`mlflow.parentRunId` = '{other.info.run_id}'"
        for run in store.search_runs(parent.experiment, condition):
            if run.info.status == "RUNNING":
                store.client.set_tag(run.info.run_id, "reason", "the search was killed")
                store.client.set_terminated(run.info.run_id, "FAILED")
                count += 1
        store.client.set_terminated(other.info.run_id, "KILLED")
        count += 1
    return count


def read_runs(store: Store, parent: Parent, *, metric: str | None = None) -> list[RunRecord]:
    """Reads what MLflow holds about a study: its parent run and every child.

    Args:
        store: An open store.
        parent: From `find_parent`.
        metric: Whose history to read, a request for each trial; unless given, that of every metric,
            ten times as many.
    """
    run_id = parent.run.info.run_id
    children = store.search_runs(parent.experiment, f"tags.`mlflow.parentRunId` = '{run_id}'")
    return [_record(store, run, metric) for run in (store.client.get_run(run_id), *children)]


def repair(target: Repairable, trials: Sequence[Trial], differences: Sequence[Difference]) -> None:
    """Removes every difference that `compare` found.

    A run that lacks something gets it. A run that says something wrong is replaced, since MLflow
    takes neither metrics nor parameters back; runs without a trial go to MLflow's trash.
    """
    by_number = {trial["number"]: trial for trial in trials}
    of_trial: dict[int, list[Difference]] = defaultdict(list)
    for difference in differences:
        if difference.kind in ("doubled", "extra"):
            target.trash(difference.run_id)
        elif difference.kind == "stale":
            target.end_run(difference.run_id)
        elif difference.number is not None:
            of_trial[difference.number].append(difference)
    for number, found in of_trial.items():
        _repair_trial(target, by_number[number], found)


def _repair_trial(target: Repairable, trial: Trial, differences: Sequence[Difference]) -> None:
    run_id = differences[0].run_id
    if not any(difference.is_conflict for difference in differences) and run_id:
        target.amend_trial(trial, run_id)
        return
    if run_id:
        target.trash(run_id)
    target.import_trial(trial)


def _record(store: Store, run: "Run", metric: str | None) -> RunRecord:
    role = run.data.tags.get("role", "")
    number = run.data.tags.get("trial")
    names = [name for name in run.data.metrics if role == "trial" and metric in (None, name)]
    history = {name: store.client.get_metric_history(run.info.run_id, name) for name in names}
    return RunRecord(
        run_id=run.info.run_id,
        role=role,
        number=None if number is None else int(number),
        status=run.info.status,
        hyperparameters=run.data.params,
        metrics=run.data.metrics,
        curves={name: [(p.step, p.value) for p in points] for name, points in history.items()},
    )
