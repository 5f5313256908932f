"""Shows what old studies hold, with sizes; with --yes removes it for good.

Run: python -m pipeline clean [--yes]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pipeline.config import load_section, read_document
from pipeline.database_addresses import sqlite_file
from pipeline.errors import StudyError
from pipeline.files import read_json
from pipeline.losses import lost_runs, lost_study
from pipeline.records.archive import stored_studies
from pipeline.records.leftovers import Leftover, Stores, leftovers
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import open_store, tracking_uri
from pipeline.records.storage import has_storage, open_storage, sharing_checkout, storage_url
from pipeline.search.params import SearchParams
from pipeline.studies.described import describe
from pipeline.workspace import store_root

HEADERS = ("what", "why", "trials", "runs", "on disk")
KILO = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("--yes", action="store_true", help="remove it; nothing brings it back")


def main(args: argparse.Namespace) -> int:
    """Prints a table of what can be removed, and removes it if told to.

    Returns:
        0.

    Raises:
        ConfigError: If params.yaml or a store cannot be used.
        StudyError: If nothing has run here yet.
    """
    root, url = Path.cwd(), load_section(SearchParams, "search").storage
    stores = _open(root, url)
    found = leftovers(stores)
    if not found:
        print("There is nothing to clean: no old study, no trash, no file of a dead process.")
    else:
        _print_table(found)
        if args.yes:
            _remove(found, stores, databases=_database_files(root, url))
        else:
            print("Nothing was removed. `python -m pipeline clean --yes` removes it for good.")
    num_others = sum(bool(study.old) and not study.is_own for study in stores.studies)
    if num_others:
        print(f"{num_others} old studies that other checkouts made are left to them.")
    print("DVC's cache is not looked at: `dvc gc --workspace` frees what no file here needs.")
    return 0


def size_text(num_bytes: int) -> str:
    """Returns a size for people.

    >>> size_text(999), size_text(1_234_567)
    ('999 B', '1.2 MB')
    """
    size, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while size >= KILO and len(units) > 1:
        size, units = size / KILO, units[1:]
    return f"{size:.0f} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


def _open(root: Path, url: str) -> Stores:
    split = root / "data/split.json"
    if not split.is_file():
        raise StudyError(f"{split} must be there, to tell current studies from old ones.")
    names, dataset = list(read_document()["studies"]), str(read_json(split)["dataset"])
    if not has_storage(root, url):
        lost = [f"{n}: {text}" for n in names if (text := lost_study(root, n, f"{dataset}-{n}"))]
        missing = f"No study has run here yet: there is no {storage_url(root, url)}"
        raise StudyError(f"{'; '.join(lost) or missing}.")
    file = sqlite_file(tracking_uri(root))
    lost_file = file if file is not None and not file.exists() else None
    if lost_file and (text := lost_runs(root, str(lost_file))):
        raise StudyError(f"Nothing is cleaned: {text}.")
    storage = open_storage(root, url)
    return Stores(
        root=store_root(root),
        url=url,
        storage=storage,
        runs=None if lost_file else open_store(root),
        studies=stored_studies(
            storage,
            dataset=dataset,
            studies=names,
            wanted={identity for name in names for identity in _identities(name, root)},
            checkout=sharing_checkout(root, url),
        ),
    )


def _identities(name: str, root: Path) -> list[str]:
    """Returns what a study of params.yaml is: by params.yaml, and by what it last put out."""
    exported = root / "results" / name / "study.json"
    known = []
    if exported.is_file():
        known.append(json.loads(exported.read_text(encoding="utf-8"))["identity"])
    try:
        known.append(describe(name, root=root).identity)
    except StudyError:
        return known  # Its features are not there, so no search has begun.
    return known


def _remove(found: Sequence[Leftover], stores: Stores, *, databases: Sequence[Path]) -> None:
    before = sum(file.stat().st_size for file in databases)
    removed = [item for item in found if _is_removed(item, stores)]
    for file in databases:
        _compact(file)
    freed = before - sum(file.stat().st_size for file in databases)
    print(
        f"Removed {sum(item.num_trials for item in removed)} trials and "
        f"{sum(item.num_runs for item in removed)} runs; freed "
        f"{size_text(sum(item.num_bytes for item in removed))} of files and "
        f"{size_text(max(0, freed))} of databases."
    )
    if stores.runs is not None and stores.runs.is_server:
        print("The runs are in the server's trash: `mlflow gc` there removes them for good.")


def _is_removed(item: Leftover, stores: Stores) -> bool:
    try:
        with study_lock(stores.root, item.locked_by, storage=stores.storage):
            item.remove()
    except StudyError as error:
        print(f"{item.what} is left: {error}")
        return False
    return True


def _compact(file: Path) -> None:
    """Gives what was deleted in an SQLite database back to the disk."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            print(f"{file} keeps its size, since it is being used: {error}.")


def _database_files(root: Path, url: str) -> list[Path]:
    files = [sqlite_file(storage_url(root, url)), sqlite_file(tracking_uri(root))]
    return [file for file in files if file is not None and file.exists()]


def _print_table(found: Sequence[Leftover]) -> None:
    rows = [HEADERS, *(_row(item) for item in found)]
    totals = [str(sum(getattr(i, name) for i in found)) for name in ("num_trials", "num_runs")]
    rows.append(("total", "", *totals, size_text(sum(item.num_bytes for item in found))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    for row in rows:
        name, why, *numbers = row
        cells = [name.ljust(widths[0]), why.ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(numbers, widths[2:], strict=True)]
        print("  ".join(cells))


def _row(item: Leftover) -> tuple[str, ...]:
    counts = (str(count) if count else "-" for count in (item.num_trials, item.num_runs))
    return (item.what, item.why, *counts, size_text(item.num_bytes))
