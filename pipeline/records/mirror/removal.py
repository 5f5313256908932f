"""All runs of one study that MLflow holds, in its trash too, and their removal for good."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.records.mirror.moved import local_path
from pipeline.records.mirror.store import Store, pages

if TYPE_CHECKING:
    from mlflow.entities import Run

TRASHED = "deleted"


def runs_of(store: Store, *, study_uid: str) -> "list[Run]":
    """Returns the runs of a study, children before their parent.

    Those that a registered version was made from are left out, and those that are in a server's
    trash, which it empties itself.

    Args:
        store: An open store.
        study_uid: From `store.mirror_uid`.
    """
    from mlflow.entities import ViewType

    client, everything = store.client, ViewType.ALL
    experiments = pages(client.search_experiments, view_type=everything)
    ids = [experiment.experiment_id for experiment in experiments]

    def runs(condition: str) -> "list[Run]":
        return pages(
            client.search_runs,
            experiment_ids=ids,
            filter_string=condition,
            run_view_type=ViewType.ACTIVE_ONLY if store.is_server else everything,
        )

    parents = runs(f"tags.role = 'study' and tags.study_uid = '{study_uid}'")
    children = [
        child
        for parent in parents
        for child in runs(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    ]
    registered = {version.run_id for version in pages(client.search_model_versions)}
    return [run for run in (*children, *parents) if run.info.run_id not in registered]


def artifact_bytes(runs: Iterable["Run"]) -> int:
    """Returns what the artifacts of runs take on this machine's disk."""
    folders = (folder for run in runs if (folder := local_path(run.info.artifact_uri)) is not None)
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)


def remove_runs(store: Store, runs: Sequence["Run"]) -> None:
    """Removes runs with their artifacts for good, as `mlflow gc` does; on a server to its trash.

    Not by `mlflow gc` itself: told of some runs, it also removes every experiment and every model
    that is in the trash.

    Args:
        store: An open store.
        runs: Children before their parent, so that after a kill the rest can still be found.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    database = store.client._tracking_client.store
    for run in runs:
        if run.info.lifecycle_stage != TRASHED:
            store.client.delete_run(run.info.run_id)
        if store.is_server:
            continue
        folder = local_path(run.info.artifact_uri)
        if folder is None or folder.exists():
            get_artifact_repository(run.info.artifact_uri, store.uri).delete_artifacts()
        _remove_emptied(folder, run.info.run_id)
        database._hard_delete_run(run.info.run_id)


def _remove_emptied(folder: Path | None, run_id: str) -> None:
    # MLflow leaves the folder above, which has the run's name.
    if folder is None or folder.parent.name != run_id or not folder.parent.is_dir():
        return
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
