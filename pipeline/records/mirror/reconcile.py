"""Makes MLflow equal to the study again: reads a study's runs, and removes each difference."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.differences import Difference
from pipeline.records.mirror.expected_run import STATUS_OF_STATE, RunRecord, summary_of
from pipeline.records.mirror.projection import Parent, TrialRuns
from pipeline.records.mirror.store import Store
from pipeline.trials.health import verdict
from pipeline.trials.record import TrialRecord

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run


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


def repair(
    runs: TrialRuns, trials: Sequence[TrialRecord], differences: Sequence[Difference]
) -> None:
    """Removes every difference that `compare` found.

    A run that lacks something gets it. A run that says something wrong is replaced, since MLflow
    takes neither metrics nor parameters back; runs without a trial go to MLflow's trash.
    """
    by_number = {trial.number: trial for trial in trials}
    of_trial: dict[int, list[Difference]] = defaultdict(list)
    for difference in differences:
        if difference.kind in ("doubled", "extra"):
            runs.trash(difference.run_id)
        elif difference.kind == "stale":
            runs.end_run(difference.run_id)
        elif difference.number is not None:
            of_trial[difference.number].append(difference)
    for number, found in of_trial.items():
        run_id = found[0].run_id
        if run_id and not any(difference.is_conflict for difference in found):
            amend_trial(runs, by_number[number], run_id)
            continue
        if run_id:
            runs.trash(run_id)
        import_trial(runs, by_number[number])


def import_trial(runs: TrialRuns, trial: TrialRecord, **tags: str) -> None:
    """Writes the whole run of a trial, in place of one that exists.

    Args:
        runs: The study's runs.
        trial: What it is to say.
        tags: Of the run, besides those that follow from the trial.
    """
    uid = trial.uid(study_uid=runs.parent.run.data.tags["study_uid"])
    runs.forget(uid)
    run_id = runs.start_trial(
        uid,
        number=trial.number,
        hyperparameters=trial.texts,
        tags={**trial.tags, **verdict(trial).tags, **tags, "restored": "true"},
        at_ms=trial.start_ms,
    )
    _complete(runs, trial, run_id)
    runs.leave(uid)


def amend_trial(runs: TrialRuns, trial: TrialRecord, run_id: str) -> None:
    """Adds to a run what it lacks of its trial: parameters, epochs, value, tags, status.

    Args:
        runs: The study's runs.
        trial: What it is to say.
        run_id: Of a run that says nothing wrong, only too little.
    """
    tags = {**trial.tags, **verdict(trial).tags}
    _complete(runs, trial, run_id, **tags, repaired="true")


def _complete(runs: TrialRuns, trial: TrialRecord, run_id: str, **tags: str) -> None:
    client, run = runs.store.client, runs.store.client.get_run(run_id)
    lacking = {name: text for name, text in trial.texts.items() if name not in run.data.params}
    is_over, value = trial.state != "RUNNING", trial.finite_value
    summary = summary_of(trial, metric=runs.metric)
    if value is not None and is_over:
        summary["value"] = value
    points = _points(runs, trial, run)
    points += writer.points(
        {name: number for name, number in summary.items() if name not in run.data.metrics},
        step=0,
        at_ms=trial.end_ms,
    )
    if trial.traceback:
        client.log_text(run_id, trial.traceback, "traceback.txt")
    writer.log(client, run_id, metrics=points, params=lacking, tags=tags)
    if is_over:
        status = STATUS_OF_STATE[trial.state]
        client.set_terminated(run_id, status, end_time=trial.end_ms)
    else:
        client.update_run(run_id, status="RUNNING")


def _points(runs: TrialRuns, trial: TrialRecord, run: "Run") -> "list[Metric]":
    epochs = trial.epochs(metric=runs.metric)
    known = {
        (name, point.step)
        for name in {name for epoch in epochs for name in epoch.metrics} & run.data.metrics.keys()
        for point in runs.store.client.get_metric_history(run.info.run_id, name)
    }
    return [
        point
        for epoch in epochs
        for point in writer.points(
            writer.led_by(runs.metric, epoch.metrics), step=epoch.epoch, at_ms=epoch.at_ms
        )
        if (point.key, point.step) not in known
    ]


def missing_trainings(
    store: Store, parent: Parent | None, trainings: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """Returns the trainings of `confirm` without a finished run, and changes nothing.

    Args:
        store: An open store.
        parent: The study's own run; None if it has none, and its trainings neither.
        trainings: As `ConfirmationRecord.trials`.
    """
    if parent is None:
        return list(trainings)
    condition = f"tags.`mlflow.parentRunId` = '{parent.run.info.run_id}' and tags.role = 'confirm'"
    runs = store.search_runs(parent.experiment, condition)
    recorded = {run.data.tags["trial_uid"] for run in runs if run.info.status == "FINISHED"}
    uid = parent.run.data.tags["study_uid"]
    return [training for training in trainings if training.uid(study_uid=uid) not in recorded]


def restore_trainings(runs: TrialRuns, trainings: Sequence[TrialRecord]) -> int:
    """Writes the run of every training of `confirm` that has no finished one.

    Args:
        runs: The study's runs.
        trainings: As `ConfirmationRecord.trials`, all or some.

    Returns:
        How many were written.
    """
    missing = missing_trainings(runs.store, runs.parent, trainings)
    for training in missing:
        import_trial(runs, training, role="confirm")
    return len(missing)


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
