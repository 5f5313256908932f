"""Shows with sizes what no study needs any more; with --yes removes it for good.

That is studies that params.yaml does not describe, as it is or by name, their MLflow runs but those
that registered versions were made from, trainings that were kept for them, and arrays of features
that no manifest names. Studies of other data sets and of other checkouts stay.

Run: python -m pipeline gc [--yes]
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import load_section, study_bases
from pipeline.database_addresses import sqlite_file
from pipeline.errors import DataIntegrityError, StudyError
from pipeline.features.arrays import size_text
from pipeline.features.params import FEATURES
from pipeline.features.reuse import STORE, ArrayStore
from pipeline.losses import lost_runs
from pipeline.plural import plural
from pipeline.records.archive import StoredStudy, count_trials, remove_study, stored_studies
from pipeline.records.lock import study_lock
from pipeline.records.mirror.removal import artifact_bytes, remove_runs, runs_of
from pipeline.records.mirror.store import Store, mirror_uid, open_store, tracking_uri
from pipeline.records.storage import has_storage, open_storage, sharing_checkout, storage_url
from pipeline.search.sections import SearchParams
from pipeline.split_record import read_split
from pipeline.studies.described import describe, lost_study
from pipeline.trials.study import exported_study
from pipeline.workspace import TRAININGS, store_root

if TYPE_CHECKING:
    from mlflow.entities import Run
    from optuna.storages import BaseStorage

HEADERS = ("what", "why", "trials", "runs", "on disk")


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Optuna's store, and MLflow's, or None if there is none."""

    storage: BaseStorage
    runs: Store | None


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """Something that can be removed, a row of the table.

    Attributes:
        what: Its name.
        why: Why nobody needs it.
        remove: Removes it for good; done again after a kill, it removes the rest.
        study: Name of the study whose lock has to be held meanwhile; empty if of none.
        num_trials: Optuna's trials that go with it.
        num_runs: MLflow's runs that go with it.
        num_bytes: Bytes on this machine's disk, without what the databases take.
    """

    what: str
    why: str
    remove: Callable[[], object]
    study: str = ""
    num_trials: int = 0
    num_runs: int = 0
    num_bytes: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("--yes", action="store_true", help="remove it; nothing brings it back")


def main(args: argparse.Namespace) -> int:
    """Prints a table of what can be removed, and removes it if told to.

    Raises:
        ConfigError: If params.yaml or a store cannot be used.
        StudyError: If a database is lost, or nothing says which studies are current.
    """
    root, url = Path.cwd(), load_section(SearchParams, "search").storage
    stores = _opened(root, url)
    found = list(_of_features(root))
    if stores is not None:
        found = [*_of_studies(_studies(stores, root, url), stores, root, url), *found]
    if not found:
        print("There is nothing to remove.")
        return 0
    _print_table(found)
    if not args.yes:
        print("Nothing was removed. `python -m pipeline gc --yes` removes it for good.")
        return 0
    _remove(found, root, url, stores)
    return 0


def _opened(root: Path, url: str) -> Stores | None:
    """Opens the stores; returns None if no study has run here yet."""
    if has_storage(root, url):
        return Stores(storage=open_storage(root, url), runs=_runs(root))
    for name in study_bases():
        if exported_study(root, name) is None:
            continue
        if text := lost_study(root, name, f"{read_split(root).dataset}-{name}"):
            raise StudyError(f"{name}: {text}.")
    return None


def _runs(root: Path) -> Store | None:
    file = sqlite_file(tracking_uri(root))
    if file is None or file.exists():
        return open_store(root)
    if text := lost_runs(root, str(file)):
        raise StudyError(f"Nothing is removed: {text}.")
    return None


def _studies(stores: Stores, root: Path, url: str) -> list[StoredStudy]:
    names, dataset = list(study_bases()), read_split(root).dataset
    described = {f"{dataset}-{name}": _described(name, root) for name in names}
    exported = [study.identity for name in names if (study := exported_study(root, name))]
    found = stored_studies(
        stores.storage,
        dataset=dataset,
        studies=names,
        wanted={*exported, *filter(None, described.values())},
        checkout=sharing_checkout(root, url),
    )
    # Where the features are not there, any of those that are put aside may be the current one.
    unknown = {name for name, identity in described.items() if identity is None}
    return [
        replace(study, old=None)
        if study.base_name in unknown and study.old == "archived"
        else study
        for study in found
    ]


def _described(name: str, root: Path) -> str | None:
    """Returns the identity of the study that params.yaml describes; None without its features."""
    try:
        return describe(name, root=root).identity
    except DataIntegrityError:
        return None


def _of_studies(
    studies: Sequence[StoredStudy], stores: Stores, root: Path, url: str
) -> Iterator[Garbage]:
    """Yields the old studies of this checkout, each with its runs, and trainings of no other."""
    for study in (study for study in studies if study.old and study.is_own):
        # One that was killed half built has run nothing, and its uid may be a current one's.
        uid = mirror_uid(root, study.uid, url) if study.old != "half built" else ""
        found = runs_of(stores.runs, study_uid=uid) if stores.runs is not None and uid else []
        yield Garbage(
            what=study.name,
            why=str(study.old),
            remove=partial(_remove_study, study.name, found, stores),
            study=study.base_name,
            num_trials=count_trials(stores.storage, study.name),
            num_runs=len(found),
            num_bytes=artifact_bytes(found),
        )
    current = {study.base_name for study in studies if not (study.old and study.is_own)}
    # Their store may be lost, or another one be in use for now.
    current |= {f"{read_split(root).dataset}-{name}" for name in study_bases()}
    for folder in sorted((store_root(root) / TRAININGS).glob("*/")):
        if folder.name not in current:
            yield Garbage(
                what=f"{TRAININGS}/{folder.name}",
                why="trainings of no current study",
                remove=partial(shutil.rmtree, folder),
                study=folder.name,
                num_bytes=sum(file.stat().st_size for file in folder.iterdir()),
            )


def _remove_study(name: str, runs: Sequence[Run], stores: Stores) -> None:
    # The study last: after a kill it still names what is left.
    if stores.runs is not None:
        remove_runs(stores.runs, runs)
    remove_study(stores.storage, name)


def _of_features(root: Path) -> Iterator[Garbage]:
    store = ArrayStore(store_root(root) / STORE)
    unnamed = store.unnamed(root / FEATURES)
    if unnamed:
        yield Garbage(
            what=f"{STORE}, {len(unnamed)} arrays",
            why="not in data/features",
            remove=partial(_remove_arrays, store, unnamed),
            num_bytes=sum(unnamed.values()),
        )


def _remove_arrays(store: ArrayStore, keys: Iterable[str]) -> None:
    for key in keys:
        store.remove(key)


def _remove(found: Sequence[Garbage], root: Path, url: str, stores: Stores | None) -> None:
    removed = []
    for item in found:
        storage = stores.storage if stores is not None else None
        lock = study_lock(store_root(root), item.study, storage=storage)
        try:
            with lock if item.study else nullcontext():
                item.remove()
            removed.append(item)
        except StudyError as error:
            print(f"{item.what} is left: {error}")
    for file in (sqlite_file(storage_url(root, url)), sqlite_file(tracking_uri(root))):
        if file is not None and file.exists():
            _compact(file)
    num_trials, num_runs = sum(i.num_trials for i in removed), sum(i.num_runs for i in removed)
    size = size_text(sum(item.num_bytes for item in removed))
    print(f"Removed {plural(num_trials, 'trial')}, {plural(num_runs, 'run')} and {size} of files.")
    if stores is not None and stores.runs is not None and stores.runs.is_server:
        print("The runs are in the server's trash: `mlflow gc` there removes them for good.")


def _compact(file: Path) -> None:
    """Gives what was deleted in an SQLite database back to the disk."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            print(f"{file} keeps its size, since it is being used: {error}.")


def _print_table(found: Sequence[Garbage]) -> None:
    rows: list[tuple[str, ...]] = [HEADERS]
    for item in found:
        counts = (str(count) if count else "-" for count in (item.num_trials, item.num_runs))
        rows.append((item.what, item.why, *counts, size_text(item.num_bytes)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    for name, why, *numbers in rows:
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[2:], strict=True)]
        print("  ".join([name.ljust(widths[0]), why.ljust(widths[1]), *cells]))
