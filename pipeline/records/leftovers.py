"""What nobody needs any more: old studies, MLflow's trash, files of dead processes.

Kept are the studies that params.yaml describes and those of other data sets, every run that a
registered version was made from, what DVC tracks, and whatever this checkout did not make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.records.archive import StoredStudy, num_trials, remove_study
from pipeline.records.lock import lock_folder
from pipeline.records.mirror.removal import artifact_bytes, remove_runs, runs_left
from pipeline.records.mirror.store import Store, mirror_uid
from pipeline.records.overview import read_holder
from pipeline.workspace import TRAININGS as TRAININGS_FOLDER

if TYPE_CHECKING:
    from mlflow.entities import Run
    from optuna.storages import BaseStorage

UNSENT_FOLDER = Path("mlruns/spool")


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Everything that is looked through.

    Attributes:
        root: The checkout that holds the stores.
        url: `search.storage`.
        storage: Optuna's.
        runs: MLflow's, or None if there is none.
        studies: Those of this project in `storage`.
    """

    root: Path
    url: str
    storage: BaseStorage
    runs: Store | None
    studies: Sequence[StoredStudy]


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that can be removed.

    Attributes:
        what: Its name.
        why: Why nobody needs it.
        remove: Removes it for good; done twice, it does nothing.
        locked_by: The study whose lock has to be held meanwhile.
        num_trials: Optuna's, that go with it.
        num_runs: MLflow's, that go with it.
        num_bytes: On this machine's disk, without what the databases take.
    """

    what: str
    why: str
    remove: Callable[[], None]
    locked_by: str
    num_trials: int = 0
    num_runs: int = 0
    num_bytes: int = 0


def leftovers(stores: Stores) -> list[Leftover]:
    """Returns everything that can be removed."""
    own = [study for study in stores.studies if study.is_own]
    old = [study for study in own if study.old]
    kept = [study for study in own if not study.old]
    return [
        *(_of_study(study, stores) for study in old),
        *(item for study in kept for item in _trash_of(study, stores)),
        *_unsent_records(stores),
        *_kept_trainings(stores),
        *_lock_files(stores),
    ]


def _of_study(study: StoredStudy, stores: Stores) -> Leftover:
    # One that was killed half built has run nothing, and its uid may be a current one's.
    runs = [] if study.old == "half built" else _all_runs(study, stores)
    return Leftover(
        what=study.name,
        why=str(study.old),
        remove=partial(_remove_study, study, runs, stores),
        locked_by=study.base_name,
        num_trials=num_trials(stores.storage, study.name),
        num_runs=len(runs),
        num_bytes=artifact_bytes(runs),
    )


def _all_runs(study: StoredStudy, stores: Stores) -> list[Run]:
    if stores.runs is None:
        return []
    left = runs_left(stores.runs, study_uid=mirror_uid(stores.root, study.uid, stores.url))
    return [*left.active, *left.trashed]


def _remove_study(study: StoredStudy, runs: Sequence[Run], stores: Stores) -> None:
    # The study last: after a kill it still names what is left.
    if stores.runs is not None:
        remove_runs(stores.runs, runs)
    remove_study(stores.storage, study.name)
    if study.base_name not in _names_of(stores, old=False):
        _unlink([lock_folder(stores.root, stores.url) / f"{study.base_name}.lock"])


def _trash_of(study: StoredStudy, stores: Stores) -> Iterator[Leftover]:
    # A server empties its trash itself, with `mlflow gc`.
    if stores.runs is None or stores.runs.is_server:
        return
    left = runs_left(stores.runs, study_uid=mirror_uid(stores.root, study.uid, stores.url))
    if left.trashed:
        yield Leftover(
            what=f"MLflow's trash of {study.name}",
            why="replaced or deleted",
            remove=partial(remove_runs, stores.runs, left.trashed),
            locked_by=study.base_name,
            num_runs=len(left.trashed),
            num_bytes=artifact_bytes(left.trashed),
        )


def _unsent_records(stores: Stores) -> Iterator[Leftover]:
    for file in _files(stores.root / UNSENT_FOLDER):
        yield Leftover(
            what=f"{UNSENT_FOLDER}/{file.name}",
            why="of an earlier release: the study holds it",
            remove=partial(_unlink, [file]),
            locked_by=file.name.rpartition("-")[0] or file.name,
            num_bytes=file.stat().st_size,
        )


def _kept_trainings(stores: Stores) -> Iterator[Leftover]:
    kept, folder = _names_of(stores, old=False), stores.root / TRAININGS_FOLDER
    for study in sorted(folder.iterdir()) if folder.is_dir() else []:
        if study.name not in kept:
            files = _files(study)
            yield Leftover(
                what=f"{TRAININGS_FOLDER}/{study.name}",
                why="trainings of no current study",
                remove=partial(_remove_folder, study),
                locked_by=study.name,
                num_bytes=sum(file.stat().st_size for file in files),
            )


def _lock_files(stores: Stores) -> Iterator[Leftover]:
    # Those of old studies go with them.
    known = _names_of(stores, old=False) | _names_of(stores, old=True)
    for file in _files(lock_folder(stores.root, stores.url)):
        holder = read_holder(stores.root, file.stem, stores.url)
        is_dead = file.suffix == ".pid" and holder is not None and not holder.is_alive
        is_idle = file.suffix == ".lock" and file.stem not in known and holder is None
        if is_dead or is_idle:
            yield Leftover(
                what=_shown(file, stores.root),
                why="of a dead process" if is_dead else "of no study",
                remove=partial(_unlink, [file]),
                locked_by=file.stem,
                num_bytes=file.stat().st_size,
            )


def _names_of(stores: Stores, *, old: bool) -> set[str]:
    return {s.base_name for s in stores.studies if bool(s.old and s.is_own) is old}


def _shown(file: Path, root: Path) -> str:
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


def _remove_folder(folder: Path) -> None:
    _unlink(_files(folder))
    if folder.is_dir():
        folder.rmdir()


def _unlink(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
