"""Notices that an SQLite file which is open was removed, moved away or replaced.

The system lets a process go on with such a file, and what it writes there is lost without a word; a
further connection would even make an empty database in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pipeline.errors import StudyError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

LAST_LOOK = "is_read_after_its_loss"
_Identity = tuple[int, int] | None
# MLflow keeps one engine an address for the life of a process, also for a file that is made anew.
_OPENED: WeakKeyDictionary[Engine, _Identity] = WeakKeyDictionary()


class DatabaseLostError(StudyError):
    """A database is no longer where it was opened; nothing more is written to it."""


def watch(engine: Engine, file: Path) -> None:
    """Ends whatever is asked of a database from when its file is no longer where it was opened.

    Args:
        engine: SQLAlchemy's; from then on it raises a `DatabaseLostError` instead of asking.
        file: Its database, which exists.
    """
    is_watched = engine in _OPENED
    if is_watched and _OPENED[engine] != _identity(file):
        engine.dispose()  # Its connections are to what was there before.
    _OPENED[engine] = _identity(file)
    if not is_watched:
        _listen(engine, file)


@contextmanager
def last_look(engine: Engine) -> Iterator[None]:
    """Lets through what is asked by connections that were open before the file was lost.

    Args:
        engine: One that is watched.
    """
    engine.update_execution_options(**{LAST_LOOK: True})
    try:
        yield
    finally:
        engine.update_execution_options(**{LAST_LOOK: False})


def lost_in(error: BaseException) -> DatabaseLostError | None:
    """Returns the loss that an error comes from, however it was wrapped since; else None.

    A new one: raised again while its wrapper is handled, the old one would be its own cause.
    """
    link: BaseException | None = error
    while link is not None and not isinstance(link, DatabaseLostError):
        link = link.__cause__ or link.__context__
    return None if link is None else DatabaseLostError(str(link))


def _listen(engine: Engine, file: Path) -> None:
    from sqlalchemy import event

    def refuse() -> None:
        if _identity(file) != _OPENED[engine]:
            raise DatabaseLostError(
                f"{file} must stay where it is while it is used, and was removed or moved away. "
                "Put it back, or run `python -m pipeline restore`; `dvc repro` then goes on."
            )

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(LAST_LOOK):
            refuse()

    @event.listens_for(engine, "do_connect")
    def _on_connect(*_: Any) -> None:
        refuse()


def _identity(file: Path) -> _Identity:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
