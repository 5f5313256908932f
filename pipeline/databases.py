"""Databases of the study store and the tracking store: reached, refused and created in one way.

A password comes from the address, from PGPASSWORD or from ~/.pgpass, and is never shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.database_addresses import is_postgres, sqlite_file, without_password
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# A writer holds an SQLite database for milliseconds; a slow disk makes it seconds.
BUSY_SECONDS = 5.0
# What these addresses are refused or given up after, seconds; a user waits for it.
CONNECT_SECONDS = 4
# A server that loses its power or its network says nothing. The kernel then notices after
# 10 + 3 * 5 s, where it would wait for two hours and, with data on the way, for 15 minutes.
CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # Milliseconds.
}
# Any number that no other program on the server is likely to have chosen.
CREATION_KEY = 7_236_412_095_118_043
CREATION_SECONDS = 120
# Both Optuna and MLflow keep their version in a table `alembic_version`.
TABLES = {"studies": "Optuna", "experiments": "MLflow"}


def connect_options() -> dict[str, object]:
    """Returns what every engine of this project is made with."""
    return {"pool_pre_ping": True, "connect_args": dict(CONNECT_ARGS)}


@contextmanager
def being_created(address: str, table: str, *, source: str) -> Iterator[None]:
    """Holds a database for the time in which its tables may have to be made.

    Two processes that start on an empty database would both make them, and one would die.

    Args:
        address: Of a PostgreSQL, or of an SQLite file, which is made with its folder if missing.
        table: `studies` or `experiments`: whose tables are made.
        source: Where the address was read, for messages: `search.storage`, or a variable.

    Raises:
        ConfigError: If the address cannot be read, its server does not answer within 4 s, refuses
            these credentials or has no such database, or the database holds the other one's tables;
            if it names no file that can be written, or a file that is no database; or if another
            process has held it for two minutes.
    """
    if not is_postgres(address):
        with _sqlite_alone(address, source=source):
            yield
        return
    engine = _engine(address, source=source)
    with _connected(engine, address, source=source) as connection:
        _lock(connection, address, source=source)
        _refuse_shared(connection, table, address, source=source)
        yield


@contextmanager
def _sqlite_alone(address: str, *, source: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    file = sqlite_file(address)
    with ExitStack() as held:
        try:
            if file is None or file.name in ("", ":memory:"):
                raise OSError("that is no name of a file")
            file.parent.mkdir(parents=True, exist_ok=True)
            _read(file)  # A file of another kind gets no lock beside it.
            lock = FileLock(file.with_name(f".{file.name}.lock"), timeout=CREATION_SECONDS)
            held.enter_context(lock)
            _let_readers_in(file)
        except Timeout:
            raise ConfigError(
                f"{address} has been held by another process for {CREATION_SECONDS} s. "
                "Wait for it, or end it."
            ) from None
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"{source} must name an SQLite file that can be written: {reason}. Received: "
                f"{source}={address}. Write sqlite:////FOLDER/FILE.db for an absolute path."
            ) from None
        yield


def _read(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA user_version")


def _let_readers_in(file: Path) -> None:
    # Write-ahead logging, which stays with the file: a reader such as `status` or `mlflow ui` never
    # blocks the one writer, and writing is two to three times faster. A network drive refuses it,
    # which costs only that. Two processes that change to it at once do not wait for each other,
    # whatever the timeout: one is told "database is locked".
    with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        # Taken and given back: whoever may not write is told now.
        connection.execute("BEGIN IMMEDIATE")


def _engine(address: str, *, source: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError
    from sqlalchemy.pool import NullPool

    try:
        if address.partition("?")[0].count("@") > 1:
            # Else a part of the password is taken for the host, and shown.
            raise ValueError
        return create_engine(
            address, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=CONNECT_ARGS
        )
    except ImportError as error:
        raise ConfigError(
            f"{source} needs a package that is not installed: {error.name or error}. Received: "
            f"{source}={without_password(address)}. Write postgresql://USER@HOST/DATABASE and run "
            '`pip install -e ".[postgres]"` in the checkout.'
        ) from None
    except (ArgumentError, ValueError):
        # What they say would show the password.
        raise ConfigError(
            f"{source} must be an address such as postgresql://USER@HOST:5432/DATABASE; @, / and : "
            f"in a password are written %40, %2F and %3A. Received: "
            f"{source}={without_password(address)}."
        ) from None


@contextmanager
def _connected(engine: Engine, address: str, *, source: str) -> Iterator[Connection]:
    from sqlalchemy.exc import DBAPIError

    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise ConfigError(
            f"{source} must name a PostgreSQL that answers and lets you in: {first_line(error)}. "
            f"Received: {source}={without_password(address)}. Start it, or correct the address; "
            "passwords may also come from PGPASSWORD or ~/.pgpass."
        ) from None
    with connection:
        yield connection


def _lock(connection: Connection, address: str, *, source: str) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import OperationalError

    try:
        connection.execute(text(f"SET lock_timeout = '{CREATION_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": CREATION_KEY})
    except OperationalError as error:
        raise ConfigError(
            f"{source} must name a database in which nobody else is making tables for longer than "
            f"{CREATION_SECONDS} s: {first_line(error)}. Received: "
            f"{source}={without_password(address)}. Wait for the other process, or end it."
        ) from None


def first_line(error: BaseException) -> str:
    """Returns what the server said, without SQLAlchemy's addenda; on one line."""
    said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    return " ".join(said.splitlines()[0].split()).rstrip(".")


def _refuse_shared(connection: Connection, table: str, address: str, *, source: str) -> None:
    from sqlalchemy import text

    (other,) = TABLES.keys() - {table}
    query = text("SELECT to_regclass(:own) IS NULL AND to_regclass(:other) IS NOT NULL")
    if connection.execute(query, {"own": table, "other": other}).scalar():
        raise ConfigError(
            f"{source} must name a database without {TABLES[other]}'s tables, since {TABLES[table]}"
            f" keeps its version under the same name. Received: {source}="
            f"{without_password(address)}. Create another database on the same server."
        )
