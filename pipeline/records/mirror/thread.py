"""A recorder that never waits for the tracking store.

The driver's thread writes each record to a file and goes on; a thread of the spool sends them in
order. While the server is away or slow, records wait in the file, also across a kill of this
process, and keep the times at which things happened. Sending twice doubles nothing: see
`trial_runs`.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from pipeline.database_addresses import without_password
from pipeline.errors import StudyError
from pipeline.hyperparameter import Value
from pipeline.open_databases import DatabaseLostError
from pipeline.processes import raise_received
from pipeline.records.mirror.outage import TIMEOUT, Outage, impatient_requests
from pipeline.records.mirror.projection import TrialRuns, now_ms
from pipeline.records.mirror.sender import REFUSED_PAUSE_SECONDS, Keeping, Sender
from pipeline.records.mirror.spool_file import FOLDER, SpoolFile
from pipeline.training.messages import EpochRecord
from pipeline.workspace import store_root

logger = logging.getLogger(__name__)

# Nobody waits for a request of the spool, so a slow server gets the time it needs; but one whose
# machine vanished should be noticed.
REQUEST_SECONDS = 60
# The store answered a moment ago, when it was opened.
LEFTOVER_SECONDS = 30.0
INTERRUPTED_SECONDS = 3.0
# After that long the end of a stage says what it is waiting for.
SILENT_SECONDS = 1.0
POLL_SECONDS = 0.2


class Spool:
    """Mirrors trainings to MLflow; a `Recorder` whose calls return at once.

    As a context manager. Entering it sends what an earlier process of this study left, so that
    `StudyRuns.reconcile` can be called in its block, before the first record. Leaving it waits
    until everything is sent, but after an error or an interrupt only for seconds: then the next
    start sends the rest.

    **Threads.** From the first record until the block is left, only the spool's thread may write
    the runs of trainings.

    Args:
        runs: The study's runs.
        drain_seconds: Leaving the block gives up when no record has got through for so long, > 0.
        deadline: ... and some seconds after this time (as of `time.time`), if one is given.

    Raises:
        StudyError: If what an earlier process left cannot be sent, or the file not be written.
    """

    def __init__(
        self, runs: TrialRuns, *, drain_seconds: float = 600.0, deadline: float | None = None
    ) -> None:
        tags = runs.parent.run.data.tags
        name = f"{tags['study_name']}-{tags['study_uid'][:8]}.jsonl"
        self._runs = runs
        self._drain_seconds = drain_seconds
        self._deadline = deadline
        self._file = SpoolFile(store_root(runs.store.root) / FOLDER / name)
        self._sender = Sender(runs, self._file)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="tracking-spool", daemon=True)
        self._impatience = ExitStack()
        self._is_started = self._is_stopping = False
        self._error: BaseException | None = None
        self._epoch_metrics: dict[str, set[str]] = {}

    @property
    def num_waiting(self) -> int:
        """How many records the store does not have yet, >= 0."""
        return self._file.num_waiting

    @property
    def outage(self) -> Outage | None:
        """Why the last record did not get through, or None if it did."""
        return self._sender.outage

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
        self._epoch_metrics[uid] = set()
        told = {"number": number, "hyperparameters": dict(hyperparameters), "tags": dict(tags)}
        self._append("start_trial", uid, at_ms, told)

    def log_epoch(self, uid: str, record: EpochRecord, *, at_ms: int | None = None) -> None:
        """Records `TrialRuns.log_epoch`."""
        self._epoch_metrics.setdefault(uid, set()).update(record.metrics)
        metrics = {name: float(value) for name, value in record.metrics.items()}
        self._append("log_epoch", uid, at_ms, {"epoch": record.epoch, "metrics": metrics})

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
        told = {
            "state": state,
            "value": value,
            "metrics": {name: float(number) for name, number in metrics.items()},
            "tags": dict(tags),
            "traceback": traceback,
            "epoch_metrics": sorted(self._epoch_metrics.pop(uid, set())),
        }
        self._append("end_trial", uid, at_ms, told)

    def close(self) -> None:
        """Waits until everything is sent.

        Raises:
            StudyError: If the store is away for too long; the records stay in their file.
            Exception: What the store said to a record that it takes never.
        """
        try:
            self._drain()
        finally:
            self._stop()
        self._raise_kept()
        if self.num_waiting:
            raise self._still_away("Training is done and recorded in the study")

    def __enter__(self) -> Self:
        if self.num_waiting:
            logger.info("sending %d records that an earlier process left", self.num_waiting)
            with impatient_requests(_request_seconds()):
                self._send_leftovers()
            self._runs.hand_over()
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
                "%d records wait in %s; `dvc repro` sends them", self.num_waiting, self._file.path
            )
        if self._error not in (None, error) and not isinstance(self._error, DatabaseLostError):
            logger.error("a record could not be sent", exc_info=self._error)

    def _append(self, call: str, uid: str, at_ms: int | None, told: Mapping[str, Any]) -> None:
        self._raise_kept()
        at = now_ms() if at_ms is None else at_ms
        self._file.append({"call": call, "uid": uid, "at_ms": at, **told})
        if not self._is_started:
            self._is_started = True
            self._impatience.enter_context(impatient_requests(_request_seconds()))
            self._thread.start()
        with self._changed:
            self._changed.notify_all()

    def _serve(self) -> None:
        self._runs.owned_by(threading.get_ident())
        with Keeping(self._keep):
            while self._wait_for_record():
                pause = self._sender.send_next()
                with self._changed:
                    self._changed.notify_all()
                    if pause:
                        self._changed.wait_for(lambda: self._is_stopping, pause)

    def _wait_for_record(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self.num_waiting)
        return not self._is_stopping

    def _send_leftovers(self) -> None:
        progress = time.monotonic()
        with _bar(self.num_waiting) as bar:
            while self.num_waiting:
                pause = self._sender.send_next()
                if not pause:
                    progress = time.monotonic()
                    bar.update()
                elif pause > LEFTOVER_SECONDS or time.monotonic() - progress > LEFTOVER_SECONDS:
                    raise self._still_away("Nothing was started")
                else:
                    time.sleep(pause)

    def _drain(self) -> None:
        start = time.monotonic()
        self._wait(lambda: time.monotonic() - start > SILENT_SECONDS)
        if self.num_waiting and self._error is None:
            logger.info(
                "%d records wait for the tracking store; giving it up to %.0f s",
                self.num_waiting,
                self._seconds_to_drain(),
            )
        patience = _Patience(self, self._seconds_to_drain())

        def gives_up() -> bool:
            raise_received()
            return patience.is_over

        self._wait(gives_up)

    def _seconds_to_drain(self) -> float:
        if self._deadline is None:
            return self._drain_seconds
        return min(self._drain_seconds, max(INTERRUPTED_SECONDS, self._deadline - time.time()))

    def _wait(self, gives_up: Callable[[], bool]) -> None:
        """Waits until nothing waits any more, the thread has failed, or `gives_up`."""
        before = self.num_waiting
        with _bar(before) as bar:
            while self.num_waiting and self._error is None and not gives_up():
                with self._changed:
                    self._changed.wait(POLL_SECONDS)
                bar.update(before - self.num_waiting - bar.n)

    def _stop(self) -> None:
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._is_started:
            self._thread.join(SILENT_SECONDS)
        self._impatience.close()
        # A thread that still waits for an answer keeps its file; it ends with this process.
        if not self._thread.is_alive():
            self._runs.owned_by(None)
            self._file.close()

    def _keep(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _raise_kept(self) -> None:
        if self._error is not None:
            raise self._error

    def _still_away(self, what: str) -> StudyError:
        reason = self.outage.reason if self.outage else "it is too slow"
        return StudyError(
            f"The tracking store must take what was recorded: {reason}. Received: "
            f"{without_password(self._runs.store.uri)}. {what}; {self.num_waiting} records wait in "
            f"{self._file.path}. Start it, or correct its credentials, and run `dvc repro` again."
        )


class _Patience:
    """Is over when no record has got through for some seconds."""

    def __init__(self, spool: Spool, seconds: float) -> None:
        self._spool = spool
        self._seconds = seconds
        self._left = spool.num_waiting
        self._since = time.monotonic()

    @property
    def is_over(self) -> bool:
        if self._spool.num_waiting < self._left:
            self._left, self._since = self._spool.num_waiting, time.monotonic()
        outage, limit = self._spool.outage, self._seconds
        if outage is not None and outage.kind == "refused":
            # Once more, in case that somebody has just corrected the credentials.
            limit = min(limit, REFUSED_PAUSE_SECONDS + POLL_SECONDS * 5)
        return time.monotonic() - self._since > limit


def _request_seconds() -> int:
    return int(os.environ.get(TIMEOUT, REQUEST_SECONDS))


def _bar(total: int) -> "tqdm[Any]":
    return tqdm(total=total, desc="sending records", unit="record", disable=None, leave=False)
