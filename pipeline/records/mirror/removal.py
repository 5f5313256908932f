"""What MLflow holds of one study, in its trash too, and its removal for good."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.records.mirror.moved import local_path
from pipeline.records.mirror.store import PAGE, Store

if TYPE_CHECKING:
    from mlflow.entities import Run

TRASHED = "deleted"


@dataclass(frozen=True, kw_only=True)
class StudyRunsLeft:
    """The runs of one study, its parent and its trainings.

    Attributes:
        active: Those that MLflow shows, children before their parent.
        trashed: Those in MLflow's trash.
        num_protected: Further ones that a registered version was made from; they stay.
    """

    active: Sequence["Run"]
    trashed: Sequence["Run"]
    num_protected: int


def runs_left(store: Store, *, study_uid: str) -> StudyRunsLeft:
    """Returns every run of a study.

    Args:
        store: An open store.
        study_uid: As from `store.mirror_uid`.
    """
    from mlflow.entities import ViewType

    experiments = [
        experiment.experiment_id
        for experiment in _pages(
            lambda token: store.client.search_experiments(
                view_type=ViewType.ALL, max_results=PAGE, page_token=token
            )
        )
    ]
    parents = [
        parent
        for parent in _runs(store, experiments, "tags.role = 'study'")
        if parent.data.tags.get("study_uid") == study_uid
    ]
    children = [
        child
        for parent in parents
        for child in _runs(
            store, experiments, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        )
    ]
    protected = _registered_runs(store)
    found = [*children, *parents]
    free = [run for run in found if run.info.run_id not in protected]
    return StudyRunsLeft(
        active=[run for run in free if run.info.lifecycle_stage != TRASHED],
        trashed=[run for run in free if run.info.lifecycle_stage == TRASHED],
        num_protected=len(found) - len(free),
    )


def artifact_bytes(runs: Iterable["Run"]) -> int:
    """Returns what the artifacts of runs take on this machine's disk."""
    files = (
        file
        for run in runs
        if (folder := _folder(run)) is not None
        for file in folder.rglob("*")
        if file.is_file()
    )
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
        folder = _folder(run)
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


def _folder(run: "Run") -> Path | None:
    return local_path(run.info.artifact_uri)


def _registered_runs(store: Store) -> set[str]:
    versions = _pages(
        lambda token: store.client.search_model_versions(max_results=PAGE, page_token=token)
    )
    return {version.run_id for version in versions}


def _runs(store: Store, experiments: list[str], condition: str) -> "list[Run]":
    from mlflow.entities import ViewType

    return _pages(
        lambda token: store.client.search_runs(
            experiments,
            condition,
            run_view_type=ViewType.ALL,
            max_results=PAGE,
            page_token=token,
        )
    )


def _pages(search: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = search(token)
        found.extend(page)
        token = page.token
        if not token:
            return found
