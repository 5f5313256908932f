"""The study store: where Optuna keeps its studies, and what Optuna itself cannot do with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.database_addresses import (
    AUTO,
    SQLITE,
    is_postgres,
    plain_address,
    sqlite_address,
    sqlite_file,
    storage_problem,
    without_password,
)
from pipeline.databases import being_created, connect_options, first_line
from pipeline.errors import ConfigError
from pipeline.open_databases import watch
from pipeline.workspace import checkout_name, store_root

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage

KEY = "search.storage"
# Optuna's own variable: its command line and its dashboard read it too.
VARIABLE = "OPTUNA_STORAGE"
STORAGE_FILE = Path("mlruns/optuna.db")
BUSY_SECONDS = 60


def storage_url(root: Path, url: str = AUTO) -> str:
    """Returns the address of the study store, as Optuna takes it.

    Args:
        root: The repository; a copy made by `dvc exp run --temp` has the store of its original.
        url: `auto`: what OPTUNA_STORAGE says, else SQLite below `mlruns/`; or an address.

    Raises:
        ConfigError: If it has a scheme that no study store has, or a path that no address can hold.
    """
    return _source_and_url(root, url)[1]


def open_storage(root: Path, url: str = AUTO) -> BaseStorage:
    """Opens the study store, creating it if it is missing.

    One on a server outlasts the server's restarts: see `patient_storage`.

    Args:
        root: The repository.
        url: As in `storage_url`.

    Raises:
        ConfigError: If the address cannot be used, or nobody lets us in there within 5 s.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    source, address = _source_and_url(root, url)
    if is_postgres(address):
        return _open_postgres(address, source=source)
    return _open_sqlite(address, source=source)


def has_storage(root: Path, url: str = AUTO) -> bool:
    """Whether there is a store to read; one on a server always is."""
    file = sqlite_file(storage_url(root, url))
    return file is None or file.exists()


def sharing_checkout(root: Path, url: str = AUTO) -> str | None:
    """Returns this checkout's name where others may keep studies in the same store, else None."""
    is_own = storage_url(root, url) == sqlite_address(store_root(root) / STORAGE_FILE)
    return None if is_own else checkout_name(root)


def rename_study(storage: BaseStorage, old: str, new: str) -> None:
    """Renames a study, in one statement.

    Args:
        storage: The study store.
        old: Its name.
        new: A name that no other study has.
    """
    from sqlalchemy import text

    from pipeline.records.retrying_storage import PatientStorage

    def rename() -> None:
        # Optuna cannot rename, and its copy_study is not atomic: a kill would leave half a study
        # that looks whole. One statement is, and doing it again changes nothing.
        with storage.engine.begin() as connection:
            connection.execute(
                text("UPDATE studies SET study_name = :new WHERE study_name = :old"),
                {"old": old, "new": new},
            )

    if isinstance(storage, PatientStorage):
        storage.write(rename)
    else:
        rename()


def _source_and_url(root: Path, url: str) -> tuple[str, str]:
    source = KEY
    if url == AUTO:
        source, url = VARIABLE, os.environ.get(VARIABLE) or f"{SQLITE}{STORAGE_FILE}"
    problem = storage_problem(url)
    if problem is not None:
        raise ConfigError(f"{source} {problem}")
    if is_postgres(url):
        # Without a driver's name, SQLAlchemy before 2.1 takes psycopg2.
        return source, url.replace("postgresql://", "postgresql+psycopg://", 1)
    return source, plain_address(url, below=store_root(root))


def _open_sqlite(address: str, *, source: str) -> RDBStorage:
    import optuna

    with being_created(address, "studies", source=source):
        storage = optuna.storages.RDBStorage(
            # Optuna fills in {SCHEMA_VERSION}; a path may have braces of its own.
            address.replace("{", "{{").replace("}", "}}"),
            engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}},
        )
    watch(storage.engine, Path(storage.engine.url.database))
    return storage


def _open_postgres(address: str, *, source: str) -> BaseStorage:
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    from pipeline.records.retrying_storage import PatientStorage

    refusals = (RuntimeError, SQLAlchemyError, optuna.exceptions.StorageInternalError)
    with being_created(address, "studies", source=source):
        try:
            backend = optuna.storages.RDBStorage(
                # Optuna fills in {SCHEMA_VERSION}; a password may have braces of its own.
                address.replace("{", "{{").replace("}", "}}"),
                engine_kwargs=connect_options(),
            )
        except refusals as error:
            # This user may not make tables there, or they are those of another release of Optuna.
            reason = first_line(error.__cause__ or error)
            raise ConfigError(
                f"{source} must name a database that Optuna can keep its tables in: {reason}. "
                f"Received: {source}={without_password(address)}."
            ) from None
    return PatientStorage(backend, shown=without_password(address))
