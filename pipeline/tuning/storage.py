"""The study store: where Optuna keeps its studies, and what Optuna itself cannot do with it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

STORAGE_FILE = Path("mlruns/optuna.db")


def storage_url(root: Path) -> str:
    """Returns the address of the study store of the checkout at `root`."""
    return f"sqlite:///{(root / STORAGE_FILE).resolve()}"


def open_storage(root: Path) -> RDBStorage:
    """Opens the study store, creating it if it is missing."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = (root / STORAGE_FILE).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    # Write-ahead logging: readers such as `status` never block the driver, the one writer.
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return optuna.storages.RDBStorage(
        storage_url(root), engine_kwargs={"connect_args": {"timeout": 60}}
    )


def rename_study(storage: RDBStorage, old: str, new: str) -> None:
    """Renames a study, in one statement.

    Args:
        storage: The study store.
        old: Its name.
        new: A name that no other study has.
    """
    from sqlalchemy import text

    # Optuna cannot rename, and its copy_study is not atomic: a kill would leave half a study that
    # looks whole. One statement is.
    with storage.engine.begin() as connection:
        connection.execute(
            text("UPDATE studies SET study_name = :new WHERE study_name = :old"),
            {"old": old, "new": new},
        )
