"""Mends the addresses in a tracking store whose checkout was moved, renamed or copied.

MLflow makes every address of an artifact absolute, so that after a move the runs and the champion
would be looked for, and further runs be written, where the checkout was. Only in the checkout's own
`mlflow.db`, and only where its runs are of a checkout elsewhere: what lies beside the database is
then what they wrote.
"""

import logging
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.databases import BUSY_SECONDS
from pipeline.errors import StudyError
from pipeline.records.lock import is_locked, lock_folder

logger = logging.getLogger(__name__)

ARTIFACTS = Path("mlruns/artifacts")
"""Below a checkout: where its experiments keep what belongs to their runs."""

# Every column of MLflow 3.17 that addresses of artifacts are in.
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
EXPERIMENTS = """
    SELECT artifact_location, EXISTS (
        SELECT 1 FROM runs JOIN tags USING (run_uuid)
        WHERE runs.experiment_id = experiments.experiment_id
          AND tags.key = 'role' AND tags.value IN ('study', 'register'))
    FROM experiments WHERE artifact_location LIKE '%/mlruns/artifacts'
"""


@dataclass(frozen=True, kw_only=True)
class _Address:
    table: str
    column: str
    row: int
    old: Path
    new: Path
    is_uri: bool

    @property
    def is_only_there(self) -> bool:
        return self.old.exists() and not self.new.exists()

    @property
    def text(self) -> str:
        return self.new.as_uri() if self.is_uri else str(self.new)


def local_path(address: str) -> Path | None:
    """Returns where an address of MLflow lies on this machine, or None if it lies elsewhere.

    >>> local_path("file:///data/%C3%96l/mlruns"), local_path("s3://bucket/mlruns")
    (PosixPath('/data/Öl/mlruns'), None)
    """
    if address.startswith("/"):
        return Path(address)
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def mend(home: Path, database: Path) -> None:
    """Lets a store name what lies in its checkout now; does nothing where it does already.

    What lies only in the old place, such as artifacts that were written there after the move, is
    still named there. Nothing in the old place is changed.

    Args:
        home: The checkout; its `mlflow.db` is the database.
        database: That file, which exists; nobody else makes its tables meanwhile.

    Raises:
        StudyError: If a study of this checkout is being searched, or the database being written.
    """
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        places = _old_places(connection, home)
        if not places:
            return
        _refuse_at_work(home, places)
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                num_mended, num_left = _rewrite(connection, home, places)
        except sqlite3.OperationalError as error:
            raise StudyError(
                f"{database} names the place where its checkout was before, and cannot be mended: "
                f"{error}. End what uses it, such as a UI, and try again."
            ) from None
    where = ", ".join(map(str, sorted(places)))
    left = f"; {num_left} name what lies only there" if num_left else ""
    logger.info(
        "this checkout was in %s: %d addresses in %s name %s now%s",
        where,
        num_mended,
        database.name,
        home,
        left,
    )


def _old_places(connection: sqlite3.Connection, home: Path) -> set[Path]:
    """Returns the checkouts elsewhere whose runs these are."""
    tables = "SELECT 1 FROM sqlite_master WHERE name = 'experiments'"
    if connection.execute(tables).fetchone() is None:
        return set()
    places = set()
    for address, is_ours in connection.execute(EXPERIMENTS):
        path = local_path(address)
        if path is None or path == home / ARTIFACTS:
            continue
        place = path.parents[len(ARTIFACTS.parts) - 1]
        # A user may keep an experiment of their own in a folder of this name.
        if is_ours or not path.parent.exists():
            places.add(place)
    return places


def _refuse_at_work(home: Path, places: Collection[Path]) -> None:
    folder = lock_folder(home)
    for lock in sorted(folder.glob("*.lock")):
        if is_locked(folder, lock.stem):
            raise StudyError(
                f"mlflow.db names {', '.join(map(str, places))}, where this checkout was before, "
                f"and a process is at work on {lock.stem}, maybe from there. Wait for it or end it."
            )


def _rewrite(
    connection: sqlite3.Connection, home: Path, places: Collection[Path]
) -> tuple[int, int]:
    num_mended = num_left = 0
    for address in list(_addresses(connection, home, places)):
        is_of_experiment = address.table == "experiments" and address.new == home / ARTIFACTS
        # Where an experiment keeps what is still to come is in this checkout in any case.
        if address.is_only_there and not is_of_experiment:
            num_left += 1
            continue
        connection.execute(
            f"UPDATE {address.table} SET {address.column} = ? WHERE rowid = ?",
            (address.text, address.row),
        )
        num_mended += 1
    return num_mended, num_left


def _addresses(
    connection: sqlite3.Connection, home: Path, places: Collection[Path]
) -> Iterator[_Address]:
    for table, column in COLUMNS:
        rows = connection.execute(
            f"SELECT rowid, {column} FROM {table} WHERE {column} LIKE '%/mlruns/%'"
        )
        for row, text in rows:
            path = local_path(text)
            for place in places:
                if path is not None and path.is_relative_to(place / "mlruns"):
                    new = home / path.relative_to(place)
                    is_uri = text.startswith("file:")
                    yield _Address(
                        table=table, column=column, row=row, old=path, new=new, is_uri=is_uri
                    )
