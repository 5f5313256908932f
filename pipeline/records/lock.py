"""One search a study: a lock that ends with its process, however that ends.

A file beside the SQLite database keeps a second process out, from whichever checkout it comes.
Where the studies are in PostgreSQL the file is in the checkout, and an advisory lock in the same
database also keeps other machines out.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from pipeline.database_addresses import AUTO, sqlite_file
from pipeline.errors import StudyError
from pipeline.records.storage import STORAGE_FILE, storage_url
from pipeline.workspace import store_root

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy import Connection, Engine

# Whoever looks whether a lock is held, holds it for an instant: that must refuse no search.
LOOK_SECONDS = 0.5
# What PostgreSQL keeps of the name under which a session is shown.
LONGEST_NAME = 63
HOLDER = """
    SELECT activity.pid, activity.backend_start, activity.application_name
    FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (pg_locks.classid::bigint << 32 | pg_locks.objid::bigint) = :key
"""
OWN_SESSION = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"


@contextmanager
def study_lock(
    root: Path, study_name: str, *, storage: BaseStorage | None = None
) -> Iterator[None]:
    """Holds the exclusive right to ask and tell a study.

    Args:
        root: The repository.
        study_name: As Optuna calls it.
        storage: Where the study is; the store that is used by default unless given. If it is on a
            server, the lock is held there too and taken again after the server's restart, before
            anything more is written.

    Raises:
        StudyError: If another process holds it; the message names its pid and host.
    """
    url = AUTO if storage is None else _url_of(storage)
    with _file_lock(lock_folder(root, url), study_name), _database_lock(storage, study_name):
        yield


def lock_folder(root: Path, url: str = AUTO) -> Path:
    """Returns where the lock of each study is, `NAME.lock`, and `NAME.pid`, who holds it.

    Every checkout that uses a database finds the same folder.

    Args:
        root: The repository.
        url: `search.storage`, or the address of an open store.
    """
    # One on a server has a lock of its own; then this one is for the checkout.
    file = (sqlite_file(storage_url(root, url)) or store_root(root) / STORAGE_FILE).resolve()
    return file.with_name("locks" if file.name == STORAGE_FILE.name else f"{file.name}.locks")


def is_locked(folder: Path, study_name: str) -> bool:
    """Whether a process holds a study's lock, whatever stands in the file beside it.

    Args:
        folder: As from `lock_folder`.
        study_name: As Optuna calls it.
    """
    file = folder / f"{study_name}.lock"
    if not file.exists():
        return False
    try:
        # Another one who looks holds it for an instant.
        with FileLock(file, timeout=LOOK_SECONDS / 5, poll_interval=LOOK_SECONDS / 50):
            return False
    except Timeout:
        return True


def _url_of(storage: BaseStorage) -> str:
    engine = getattr(storage, "engine", None)
    return AUTO if engine is None else engine.url.render_as_string(hide_password=True)


@contextmanager
def _file_lock(folder: Path, study_name: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / f"{study_name}.pid"
    lock = FileLock(folder / f"{study_name}.lock", timeout=LOOK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        name = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
        raise _refusal(study_name, name) from None
    try:
        # Only read by who is refused: one that a killed process left keeps nobody out.
        holder.write_text(_own_name(), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _database_lock(storage: BaseStorage | None, study_name: str) -> Iterator[None]:
    if storage is None:
        yield
        return
    from pipeline.records.retrying_storage import PatientStorage

    if not isinstance(storage, PatientStorage):
        yield
        return
    lock = AdvisoryLock(storage.engine, study_name)
    storage.outlast(lock.ensure)
    unguarded, storage.guard = storage.guard, lock.ensure
    try:
        yield
    finally:
        storage.guard = unguarded
        lock.release()


class AdvisoryLock:
    """A lock in PostgreSQL that is held by a connection of its own, and ends with it.

    Args:
        engine: Of the database.
        study_name: Names what is locked, in this database.
    """

    def __init__(self, engine: Engine, study_name: str) -> None:
        self._engine = engine
        self._study_name = study_name
        digest = hashlib.sha256(study_name.encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: Connection | None = None
        self._session: tuple[Any, ...] = ()

    def ensure(self) -> None:
        """Takes the lock, unless it is held and its connection lives.

        Raises:
            StudyError: If another process holds it, or has taken it while the server was away.
            StorageUnreachableError: If the server does not answer.
        """
        from sqlalchemy import text

        from pipeline.records.retrying_storage import StorageUnreachableError

        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except StorageUnreachableError:
                self.release()
            else:
                return
        self._take()

    def release(self) -> None:
        """Lets go, by ending the connection; does nothing where nothing is held."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()

    def _take(self) -> None:
        from sqlalchemy import text

        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            self._introduce(connection)
            self._lock(connection)
            self._session = tuple(connection.execute(text(OWN_SESSION)).one())
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._connection = connection

    def _introduce(self, connection: Connection) -> None:
        from sqlalchemy import text

        # Whose machine loses its power does not say goodbye: its lock ends after a minute.
        settings = {
            "application_name": _own_name()[:LONGEST_NAME],
            **{"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10"},
            "tcp_keepalives_count": "3",
        }
        for name, value in settings.items():
            connection.execute(
                text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value}
            )

    def _lock(self, connection: Connection) -> None:
        from sqlalchemy import text

        attempt, key = text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}
        if connection.execute(attempt, key).scalar():
            return
        holder = connection.execute(text(HOLDER), key).first()
        if holder is not None and (holder.pid, holder.backend_start) == self._session:
            # Our own last connection, which broke without the server having noticed so far.
            connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": holder.pid})
            if connection.execute(attempt, key).scalar():
                return
        name = holder.application_name if holder else "unknown"
        if not self._session:
            raise _refusal(self._study_name, name)
        raise StudyError(
            f"{self._study_name} was taken by process {name} while its store was away from here; "
            "what this search has not recorded is trained again there."
        )


def _own_name() -> str:
    return f"{os.getpid()} on {platform.node() or 'an unknown host'}"


def _refusal(study_name: str, holder: str) -> StudyError:
    return StudyError(
        f"{study_name} is being worked on already, by process {holder}. Wait for it or end it."
    )
