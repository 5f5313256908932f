"""Addresses of databases: which forms are legal, what files they name, how they are shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from pipeline.errors import ConfigError

SQLITE = "sqlite:///"
# SQLite 3.40 opens no file whose path has 512 bytes, its own endings such as `-journal` included.
LONGEST_PATH = 490
# SQLAlchemy takes what follows a `?` for options. It takes `%` before two hexadecimal digits for a
# coded character, and MLflow does so too where it is given a plain path; coded once more, MLflow
# makes a second folder of the coded name.
# A name that is not UTF-8 has surrogates.
UNUSABLE = re.compile("[?\ud800-\udfff]|%[0-9A-Fa-f]{2}")
AUTO = "auto"
SCHEMES = (SQLITE, "postgresql://", "postgresql+psycopg://")


def without_password(address: str) -> str:
    """Returns an address that can be shown.

    >>> without_password("postgresql://ann:secret@db:5432/mlflow")
    'postgresql://ann:***@db:5432/mlflow'
    >>> without_password("postgresql:///mlflow?user=ann&password=secret")
    'postgresql:///mlflow?user=ann&password=***'
    """
    # Up to the last @, not as a URL is read: who forgets to quote a password that has one in it
    # gets an error, and the error must not show the rest of the password.
    shown = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", address)
    return re.sub(r"(password=)[^&]*", r"\1***", shown)


def is_postgres(address: str) -> bool:
    """Whether an address is that of a PostgreSQL.

    >>> is_postgres("postgresql+psycopg://db/mlflow"), is_postgres("sqlite:///mlflow.db")
    (True, False)
    """
    return address.startswith(("postgresql://", "postgresql+"))


def sqlite_address(file: Path) -> str:
    """Returns the address of an SQLite file, which SQLAlchemy, MLflow and Optuna read alike.

    Nothing in it is coded, so that the path can be read in it. The other way is `sqlite_file`.

    Args:
        file: Absolute, or relative to where the address is used.

    Raises:
        ConfigError: If no address can hold its path.

    >>> sqlite_address(Path("/data/Öl & #1 100%/mlflow.db"))
    'sqlite:////data/Öl & #1 100%/mlflow.db'
    """
    check_path(file)
    return f"{SQLITE}{file.as_posix()}"


def sqlite_file(address: str) -> Path | None:
    """Returns the file of an SQLite address, or None if it is another database's.

    A user may have coded characters in it, as in any address.

    >>> sqlite_file("sqlite:////my%20data/mlflow.db"), sqlite_file("postgresql://db/mlflow")
    (PosixPath('/my data/mlflow.db'), None)
    """
    name = address.removeprefix(SQLITE).partition("?")[0]
    return Path(unquote(name)) if address.startswith(SQLITE) else None


def plain_address(address: str, *, below: Path | None = None) -> str:
    """Returns an SQLite address as `sqlite_address` writes it, its options kept; others as given.

    Args:
        address: Of any database.
        below: What a relative path is relative to; it stays relative unless given.

    Raises:
        ConfigError: If no address can hold its path.

    >>> plain_address("sqlite:///my%20data/x.db?timeout=9", below=Path("/home/ann"))
    'sqlite:////home/ann/my data/x.db?timeout=9'
    """
    file, (_, mark, options) = sqlite_file(address), address.partition("?")
    if file is None or not file.name:
        return address
    return f"{sqlite_address(file if below is None else below / file)}{mark}{options}"


def check_path(path: Path) -> None:
    """Refuses a path that no address of a database or of an artifact can hold.

    Raises:
        ConfigError: If it has a `?`, a `%` before two hexadecimal digits, a name that is not UTF-8,
            or more than 490 bytes.
    """
    text = str(path)
    if not UNUSABLE.search(text) and len(os.fsencode(path)) <= LONGEST_PATH:
        return
    raise ConfigError(
        "The path of a checkout or of a database must have no ?, no % before two hexadecimal "
        f"digits, only UTF-8 and at most {LONGEST_PATH} bytes: addresses in MLflow cannot hold "
        f"others. Received: {text!r}. Rename the folder, or move what is in it."
    )


def storage_problem(url: str) -> str | None:
    """Returns what is wrong with the form of an address, or None.

    >>> storage_problem("postgres://db/studies")
    'must be auto, or start with sqlite:///, postgresql:// or postgresql+psycopg://. Received: \
postgres://db/studies.'
    """
    if url == AUTO or (url.startswith(SCHEMES) and url not in SCHEMES):
        return None
    schemes = f"{', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
    return f"must be auto, or start with {schemes}. Received: {without_password(url)}."
