"""A recorder that never waits for the tracking store.

The driver's thread puts each record into a queue and goes on; a thread of the mirror sends them in
order. While the server is away or slow, records wait in memory, some 1 kB each, with the times at
which things happened. What a kill takes along is in the study, from which `StudyRuns.reconcile`
writes it at the next start.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from pipeline.database_addresses import without_password
from pipeline.databases import first_line
from pipeline.errors import StudyError
from pipeline.hyperparameter import Value
from pipeline.open_databases import DatabaseLostError, lost_in
from pipeline.processes import raise_received
from pipeline.records.mirror.outage import (
    REFUSED_PAUSE_SECONDS,
    TIMEOUT,
    Contact,
    Outage,
    impatient_requests,
    is_gone,
    outage_of,
    store_errors,
)
from pipeline.records.mirror.projection import RunGoneError, TrialRuns, now_ms
from pipeline.steps import step
from pipeline.training.messages import EpochRecord

logger = logging.getLogger(__name__)

# Nobody waits for a request of the thread, so a slow server gets the time it needs; but one whose
# machine vanished should be noticed.
REQUEST_SECONDS = 60
INTERRUPTED_SECONDS = 3.0
# After that long the end of a stage says what it is waiting for.
SILENT_SECONDS = 1.0
POLL_SECONDS = 0.2


class Mirror:
    """Mirrors trainings to MLflow; a `Recorder` whose calls return at once.

    As a context manager. Before the first record `StudyRuns.reconcile` can be called in its block.
    Leaving it waits until everything is sent, but after an error or an interrupt only for seconds:
    then the next start writes the rest.

    **Threads.** From the first record until the block is left, only the mirror's thread may write
    the runs of trainings.

    Args:
        runs: The study's runs.
        drain_seconds: Leaving the block gives up when no record has got through for so long, > 0.
        deadline: ... and some seconds after this time (as of `time.time`), if one is given.
    """

    def __init__(
        self, runs: TrialRuns, *, drain_seconds: float = 600.0, deadline: float | None = None
    ) -> None:
        self._runs = runs
        self._drain_seconds = drain_seconds
        self._deadline = deadline
        self._queue: deque[tuple[str, Callable[[], object]]] = deque()
        self._contact = Contact(runs.store.uri)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="mirror", daemon=True)
        self._impatience = ExitStack()
        self._is_started = self._is_stopping = False
        self._error: BaseException | None = None
        self._gone: set[str] = set()

    @property
    def num_waiting(self) -> int:
        """How many records the store does not have yet, >= 0."""
        return len(self._queue)

    @property
    def outage(self) -> Outage | None:
        """Why the last record did not get through, or None if it did."""
        return self._contact.outage

    def start_trial(
        self,
        uid: str,
        *,
        number: int,
        hyperparameters: Mapping[str, Value],
        tags: Mapping[str, str],
        at_ms: int | None = None,
    ) -> None:
        """Records `TrialRuns.start_trial`."""
        told = {"number": number, "hyperparameters": dict(hyperparameters), "tags": dict(tags)}
        self._append(self._runs.start_trial, uid, at_ms=at_ms, **told)

    def log_epoch(self, uid: str, record: EpochRecord, *, at_ms: int | None = None) -> None:
        """Records `TrialRuns.log_epoch`."""
        self._append(self._runs.log_epoch, uid, record, at_ms=at_ms)

    def end_trial(
        self,
        uid: str,
        state: str,
        *,
        value: float | None,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        traceback: str | None,
        at_ms: int | None = None,
    ) -> None:
        """Records `TrialRuns.end_trial`."""
        told = {"value": value, "metrics": dict(metrics), "tags": dict(tags)}
        self._append(self._runs.end_trial, uid, state, traceback=traceback, at_ms=at_ms, **told)

    def close(self) -> None:
        """Waits until everything is sent.

        Raises:
            StudyError: If the store is away for too long.
            Exception: What the store said to a record that it takes never.
        """
        try:
            self._drain()
        finally:
            self._stop()
        self._raise_kept()
        if self.num_waiting:
            reason = self.outage.reason if self.outage else "it is too slow"
            raise StudyError(
                f"The tracking store must take what was recorded: {reason}. Received: "
                f"{without_password(self._runs.store.uri)}. Training is done and kept here; "
                f"{self.num_waiting} records are missing there. Start it, or correct its "
                "credentials, and run `dvc repro` again, which writes them."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        deadline = time.monotonic() + INTERRUPTED_SECONDS
        self._wait(lambda: self.outage is not None or time.monotonic() > deadline)
        self._stop()
        if self.num_waiting:
            logger.warning(
                "%d records are missing in MLflow; the next start writes them", self.num_waiting
            )
        if self._error not in (None, error) and not isinstance(self._error, DatabaseLostError):
            logger.error("a record could not be sent", exc_info=self._error)

    def _append(
        self, send: Callable[..., object], uid: str, *told: object, at_ms: int | None, **named: Any
    ) -> None:
        self._raise_kept()
        at = now_ms() if at_ms is None else at_ms
        self._queue.append((uid, partial(send, uid, *told, at_ms=at, **named)))
        if not self._is_started:
            self._is_started = True
            self._impatience.enter_context(impatient_requests(_request_seconds()))
            self._thread.start()
        with self._changed:
            self._changed.notify_all()

    def _serve(self) -> None:
        self._runs.owned_by(threading.get_ident())
        with ExitStack() as stack:
            stack.push(self._keep)
            while self._wait_for_record():
                pause = self._send_next()
                with self._changed:
                    self._changed.notify_all()
                    if pause:
                        self._changed.wait_for(lambda: self._is_stopping, pause)

    def _wait_for_record(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self.num_waiting)
        return not self._is_stopping

    def _send_next(self) -> float:
        """Sends the record that waits longest; returns for how long to leave the store alone."""
        uid, send = self._queue[0]
        failures: tuple[type[Exception], ...] = (RunGoneError, *store_errors())
        try:
            send()
        except failures as error:
            lost = lost_in(error)
            if lost is not None:
                raise lost from None
            outage = outage_of(error)
            if outage is not None:
                return self._contact.failed(outage)
            if not isinstance(error, RunGoneError) and not is_gone(error):
                error.add_note(f"This was a record of trial {uid}.")
                raise
            self._skip(uid, error)
        self._contact.answered(self.num_waiting)
        self._queue.popleft()
        return 0.0

    def _skip(self, uid: str, error: Exception) -> None:
        if uid in self._gone:
            return
        self._gone.add(uid)
        # Deleted by a user, who may have meant it, or not: training goes on.
        logger.warning(
            "records of trial %s are left out: %s; the next search or "
            "`python -m pipeline audit --repair` writes its run again",
            uid,
            first_line(error),
        )

    def _drain(self) -> None:
        start = time.monotonic()
        self._wait(lambda: time.monotonic() - start > SILENT_SECONDS)
        if self.num_waiting and self._error is None:
            logger.info(
                "%d records wait for the tracking store; giving it up to %.0f s",
                self.num_waiting,
                self._seconds_to_drain(),
            )
        limit, left, since = self._seconds_to_drain(), self.num_waiting, time.monotonic()

        def gives_up() -> bool:
            nonlocal left, since
            raise_received()
            if self.num_waiting < left:
                left, since = self.num_waiting, time.monotonic()
            is_refused = self.outage is not None and self.outage.kind == "refused"
            # Once more, in case that somebody has just corrected the credentials.
            again = REFUSED_PAUSE_SECONDS + POLL_SECONDS * 5
            return time.monotonic() - since > (min(limit, again) if is_refused else limit)

        self._wait(gives_up)

    def _seconds_to_drain(self) -> float:
        if self._deadline is None:
            return self._drain_seconds
        return min(self._drain_seconds, max(INTERRUPTED_SECONDS, self._deadline - time.time()))

    def _wait(self, gives_up: Callable[[], bool]) -> None:
        """Waits until nothing waits any more, the thread has failed, or `gives_up`."""
        before = self.num_waiting
        with step("sending records to MLflow", total=before, unit="records") as one:
            while self.num_waiting and self._error is None and not gives_up():
                with self._changed:
                    self._changed.wait(POLL_SECONDS)
                one.advance(before - self.num_waiting - one.done)

    def _stop(self) -> None:
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._is_started:
            self._thread.join(SILENT_SECONDS)
        self._impatience.close()
        # A thread that still waits for an answer keeps its runs; it ends with this process.
        if not self._thread.is_alive():
            self._runs.owned_by(None)

    def _keep(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Keeps the error that ends the thread for who can tell the user."""
        with self._changed:
            self._error = error
            self._changed.notify_all()
        return True

    def _raise_kept(self) -> None:
        if self._error is not None:
            raise self._error


def _request_seconds() -> int:
    return int(os.environ.get(TIMEOUT, REQUEST_SECONDS))
