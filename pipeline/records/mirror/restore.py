"""Rebuilds the runs of trials that are over from what the study holds about them."""

from typing import TYPE_CHECKING

from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.expected_run import STATUS_OF_STATE, summary_of
from pipeline.records.mirror.projection import TrialRuns
from pipeline.training.messages import EpochRecord
from pipeline.trials.record import (
    Trial,
    end_ms,
    epochs_of,
    hyperparameters_of,
    metrics_of,
    start_ms,
    tags_of,
    traceback_of,
    uid_of,
    value_of,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run


def import_trial(runs: TrialRuns, trial: Trial) -> None:
    """Writes the whole run of a trial, in place of one that exists.

    Args:
        runs: The study's runs.
        trial: As in `study.json`; see `pipeline.trials.record`.
    """
    uid = uid_of(trial, study_uid=runs.parent.run.data.tags["study_uid"])
    runs.forget(uid)
    runs.start_trial(
        uid,
        number=trial["number"],
        hyperparameters=hyperparameters_of(trial),
        tags={**tags_of(trial), "restored": "true"},
        at_ms=start_ms(trial),
    )
    for epoch in epochs_of(trial, metric=runs.metric):
        record = EpochRecord(epoch=epoch.epoch, metrics=epoch.metrics)
        runs.log_epoch(uid, record, at_ms=epoch.at_ms)
    if trial["state"] != "RUNNING":
        runs.end_trial(
            uid,
            trial["state"],
            value=value_of(trial),
            metrics=metrics_of(trial),
            tags={},
            traceback=traceback_of(trial),
            at_ms=end_ms(trial),
        )


def amend_trial(runs: TrialRuns, trial: Trial, run_id: str) -> None:
    """Adds to a run what it lacks of its trial: parameters, epochs, value, status.

    Args:
        runs: The study's runs.
        trial: As in `study.json`.
        run_id: Of a run that says nothing wrong, only too little.
    """
    client = runs.store.client
    run = client.get_run(run_id)
    lacking = {
        name: text
        for name, text in hyperparameters_of(trial).items()
        if name not in run.data.params
    }
    summary = summary_of(trial, metric=runs.metric)
    value = value_of(trial)
    if value is not None and trial["state"] != "RUNNING":
        summary["value"] = value
    points = _points(runs, trial, run)
    points += writer.points(
        {name: number for name, number in summary.items() if name not in run.data.metrics},
        step=0,
        at_ms=end_ms(trial),
    )
    writer.log(client, run_id, metrics=points, params=lacking, tags={"repaired": "true"})
    if trial["state"] == "RUNNING":
        client.update_run(run_id, status="RUNNING")
    else:
        status = STATUS_OF_STATE[trial["state"]]
        client.set_terminated(run_id, status, end_time=end_ms(trial))


def _points(runs: TrialRuns, trial: Trial, run: "Run") -> "list[Metric]":
    epochs = epochs_of(trial, metric=runs.metric)
    known = {
        (name, point.step)
        for name in {name for epoch in epochs for name in epoch.metrics} & run.data.metrics.keys()
        for point in runs.store.client.get_metric_history(run.info.run_id, name)
    }
    return [
        point
        for epoch in epochs
        for point in writer.points(epoch.metrics, step=epoch.epoch, at_ms=epoch.at_ms)
        if (point.key, point.step) not in known
    ]
