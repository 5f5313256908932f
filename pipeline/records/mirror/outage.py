"""What an error of the store means: it is away, it refuses us, or we asked for something wrong.

MLflow's client tries for four minutes before it says that nobody answers. Who can wait for the
store in another way asks for `impatient_requests`; everybody else gets one line in the end.
"""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.database_addresses import without_password
from pipeline.databases import first_line
from pipeline.errors import StudyError
from pipeline.open_databases import lost_in

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
# Prints a traceback for every statement that fails, where an outage is to be said once.
NOISY_LOGGER = "mlflow.store.db.utils"
REFUSALS = (401, 403)
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
# Wrong credentials do not mend themselves, and a server may lock an account that insists.
REFUSED_PAUSE_SECONDS = 60.0
SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class Outage:
    """Why a store takes nothing just now.

    Attributes:
        kind: `away`: nobody answers, or says to come back later; `refused`: it answers, but does
            not let us in.
        reason: In a few words, on one line.
    """

    kind: Literal["away", "refused"]
    reason: str


class Contact:
    """Whether the store takes what is sent; says once when it is lost and once when it is back.

    Args:
        uri: The store's.

    Attributes:
        outage: Why the last record did not get through, or None if it did.
    """

    def __init__(self, uri: str) -> None:
        self.outage: Outage | None = None
        self._uri = uri
        self._said: str | None = None
        self._num_failures = 0
        self._lost_at = 0.0

    def failed(self, outage: Outage) -> float:
        """Notes that a record did not get through; returns for how many seconds to pause."""
        self.outage = outage
        if not self._num_failures:
            self._lost_at = time.monotonic()
        self._num_failures += 1
        # A server closes a connection that was idle: one failure alone is no outage.
        if outage.kind != self._said and (outage.kind == "refused" or self._num_failures > 1):
            self._said = outage.kind
            logger.warning(
                "the tracking store %s is lost: %s; training goes on, and the study keeps "
                "what it lacks",
                without_password(self._uri),
                outage.reason,
            )
        if outage.kind == "refused":
            return REFUSED_PAUSE_SECONDS
        pause: float = FIRST_PAUSE_SECONDS * 2 ** min(self._num_failures - 1, 10)
        return min(pause, LONGEST_PAUSE_SECONDS)

    def answered(self, num_waiting: int) -> None:
        """Notes that a record got through, the first of `num_waiting`."""
        if self._said is not None:
            logger.info(
                "the tracking store is back after %.0f s; %d records had waited",
                time.monotonic() - self._lost_at,
                num_waiting,
            )
        self.outage, self._said, self._num_failures = None, None, 0


def store_errors() -> tuple[type[Exception], ...]:
    """Returns all that MLflow's client raises when its store fails; for an `except` clause."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    # What `requests` raises is an OSError.
    return (MlflowException, SQLAlchemyError, OSError)


def outage_of(error: BaseException) -> Outage | None:
    """Returns why the store is out of reach, or None if it is not: then the error is a mistake."""
    from mlflow.exceptions import MlflowException

    for link in _chain(error):
        found = _of_connection(link) or _of_database(link)
        if found is not None:
            return found
    return _of_answer(error) if isinstance(error, MlflowException) else None


def is_gone(error: BaseException) -> bool:
    """Whether an error says that a run, or its whole experiment, was deleted: by a user, in MLflow.

    Args:
        error: One of `store_errors`.
    """
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException):
        return False
    is_in_trash = "must be in the 'active' state" in str(error)
    return is_in_trash or error.error_code == "RESOURCE_DOES_NOT_EXIST"


@contextmanager
def impatient_requests(timeout_seconds: int) -> Iterator[None]:
    """Lets every request of this process fail at once where it fails, instead of after minutes.

    MLflow reads these variables anew for each request, and has no other way to say so.

    Args:
        timeout_seconds: How long one request may wait for its answer, >= 1.
    """
    changed = {RETRIES: "0", TIMEOUT: str(timeout_seconds)}
    before = {name: os.environ.get(name) for name in changed}
    noisy = logging.getLogger(NOISY_LOGGER)
    was_disabled, noisy.disabled = noisy.disabled, True
    os.environ.update(changed)
    try:
        yield
    finally:
        noisy.disabled = was_disabled
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turns an outage of the store, or the loss of a run, into one line.

    Args:
        uri: The store's.

    Raises:
        StudyError: If the store is away or refuses us, or a run was deleted meanwhile; a
            `DatabaseLostError` if its file is gone.
    """
    try:
        yield
    except store_errors() as error:
        lost = lost_in(error)
        if lost is not None:
            raise lost from None
        if is_gone(error):
            raise StudyError(
                "No run of a study must be deleted in MLflow while it is searched. Received: "
                f"{first_line(error)}. Nothing is lost: `dvc repro` writes it again."
            ) from None
        outage = outage_of(error)
        if outage is None:
            raise
        raise StudyError(
            f"The tracking store must answer while runs are read and closed: {outage.reason}. "
            f"Received: {without_password(uri)}. Nothing is lost: mend it and run `dvc repro`."
        ) from None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _of_connection(error: BaseException) -> Outage | None:
    from requests import exceptions as http

    if isinstance(error, http.HTTPError) and error.response is not None:
        return _of_status(error.response.status_code)  # Artifacts' own requests.
    if isinstance(error, http.RetryError):
        status = re.search(r"too many (\d+) error responses", str(error))
        return Outage(kind="away", reason=f"HTTP {status[1]}" if status else "it fails")
    if isinstance(error, http.Timeout | TimeoutError):
        return Outage(kind="away", reason="no answer in time")
    if isinstance(error, http.ConnectionError | http.ChunkedEncodingError | ConnectionError):
        return Outage(kind="away", reason=_innermost(str(error)))
    return None


def _of_database(error: BaseException) -> Outage | None:
    from sqlalchemy.exc import InterfaceError, OperationalError

    if isinstance(error, OperationalError | InterfaceError):
        return Outage(kind="away", reason=first_line(error))
    return None


def _of_answer(error: "MlflowException") -> Outage | None:
    from mlflow.exceptions import RestException

    if isinstance(error, RestException) and "error_code" not in error.json:
        return _foreign(str(error.json))
    text = str(error)
    if "response body was not in a valid JSON format" in text:
        return _foreign(text.partition("Response body: ")[2])
    status = re.search(r"failed with error code (\d+) !=", text)
    if status:
        return _of_status(int(status[1]))
    code = error.get_http_status_code()
    return _of_status(code) if code in REFUSALS else None


def _of_status(status: int) -> Outage | None:
    if status in REFUSALS:
        return Outage(kind="refused", reason=f"it refuses these credentials (HTTP {status})")
    return Outage(kind="away", reason=f"HTTP {status}") if status >= SERVER_ERROR else None


def _foreign(text: str) -> Outage:
    # A gateway or a login page in front of the server: MLflow's own answers name an error code.
    start = " ".join(text.split())[:80]
    return Outage(kind="refused", reason=f"what answers is not MLflow: {start}")


def _innermost(text: str) -> str:
    """Returns the cause that `requests` buries in its message.

    >>> _innermost("HTTPConnectionPool(...): Max retries (Caused by NewConnectionError('<x>: "
    ...            "Failed to establish a new connection: [Errno 111] Connection refused'))")
    'Connection refused'
    """
    last = re.split(r"\[Errno -?\d+\] |: |\('", text)[-1].partition(" (read timeout")[0]
    return last.strip("\"').( ") or "the connection broke"
