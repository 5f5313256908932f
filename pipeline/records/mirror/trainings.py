"""The runs of `confirm`'s trainings, written again from what `confirm.json` keeps of them."""

from collections.abc import Mapping
from typing import Any

from pipeline.records.mirror.projection import TrialRuns
from pipeline.records.mirror.reconcile import Parent
from pipeline.records.mirror.store import Store
from pipeline.training.messages import EpochRecord

FINISHED = "FINISHED"


def restore_trainings(runs: TrialRuns, report: Mapping[str, Any]) -> int:
    """Writes the run of every training that has no finished one.

    Args:
        runs: The study's runs.
        report: `confirm.json`.

    Returns:
        How many were written.
    """
    hyperparameters = {one["number"]: one["hyperparameters"] for one in report["candidates"]}
    missing = [one for one in report["trainings"] if not _is_recorded(runs, one["uid"])]
    for training in missing:
        _write(runs, training, hyperparameters[training["number"]])
    return len(missing)


def num_missing(store: Store, parent: Parent, report: Mapping[str, Any]) -> int:
    """Counts the trainings without a finished run, and changes nothing.

    Args:
        store: An open store.
        parent: The study's own run.
        report: `confirm.json`.
    """
    condition = f"tags.`mlflow.parentRunId` = '{parent.run.info.run_id}' and tags.role = 'confirm'"
    runs = store.search_runs(parent.experiment, condition)
    recorded = {run.data.tags["trial_uid"] for run in runs if run.info.status == FINISHED}
    return sum(training["uid"] not in recorded for training in report["trainings"])


def _is_recorded(runs: TrialRuns, uid: str) -> bool:
    return any(run.info.status == FINISHED for run in runs.runs_of(uid))


def _write(
    runs: TrialRuns, training: Mapping[str, Any], hyperparameters: Mapping[str, Any]
) -> None:
    tags = {"role": "confirm", "seed": training["seed"], "attempt": training["attempt"]}
    runs.start_trial(
        training["uid"],
        number=training["number"],
        hyperparameters=hyperparameters,
        tags={**{name: str(value) for name, value in tags.items()}, "restored": "true"},
        at_ms=training["start_ms"],
    )
    for epoch in training["epochs"]:
        record = EpochRecord(epoch=epoch["epoch"], metrics=epoch["metrics"])
        runs.log_epoch(training["uid"], record, at_ms=epoch["at_ms"])
    runs.end_trial(
        training["uid"],
        "COMPLETE",
        value=training["value"],
        metrics=training["metrics"],
        tags={"outcome": training["outcome"]},
        traceback=None,
        at_ms=training["end_ms"],
    )
