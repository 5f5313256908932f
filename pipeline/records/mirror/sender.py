"""Sends the records of a spool to the store, one at a time, and knows whether the store is there.

No thread of its own: `spool.Spool` calls it, from one thread at a time.
"""

import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from pipeline.database_addresses import without_password
from pipeline.databases import first_line
from pipeline.open_databases import lost_in
from pipeline.records.mirror.outage import Outage, is_gone, outage_of, store_errors
from pipeline.records.mirror.projection import RunGoneError, TrialRuns
from pipeline.records.mirror.spool_file import SpoolFile
from pipeline.training.messages import EpochRecord

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
# Wrong credentials do not mend themselves, and a server may lock an account that insists.
REFUSED_PAUSE_SECONDS = 60.0


class Sender:
    """Delivers records in order, and says once when the store is lost and once when it is back.

    Args:
        runs: Where they go.
        file: Where they wait.

    Attributes:
        outage: Why the last record did not get through, or None if it did.
    """

    def __init__(self, runs: TrialRuns, file: SpoolFile) -> None:
        self.outage: Outage | None = None
        self._runs = runs
        self._file = file
        self._said: str | None = None
        self._gone: set[str] = set()
        self._num_failures = 0
        self._lost_at = 0.0

    def send_next(self) -> float:
        """Sends the record that waits longest; only while one waits.

        One whose run was deleted in MLflow is skipped, and left to `StudyRuns.reconcile`.

        Returns:
            For how many seconds to leave the store alone; 0 after a success.

        Raises:
            DatabaseLostError: If the store's file is gone.
            Exception: If the store takes this record never: a bug, with a note that names its line.
        """
        line = self._file.first_waiting()
        failures: tuple[type[Exception], ...] = (RunGoneError, *store_errors())
        with _Noted(self._file, line.number):
            try:
                deliver(self._runs, line.record)
            except failures as error:
                lost = lost_in(error)
                if lost is not None:
                    raise lost from None
                self.outage = outage_of(error)
                if self.outage is not None:
                    return self._pause(self.outage)
                if not isinstance(error, RunGoneError) and not is_gone(error):
                    raise
                self._skip(line.record["uid"], error)
        self._note_success()
        self._file.mark_sent(line)
        return 0.0

    def _pause(self, outage: Outage) -> float:
        if not self._num_failures:
            self._lost_at = time.monotonic()
        self._num_failures += 1
        # A server closes a connection that was idle: one failure alone is no outage.
        if outage.kind != self._said and (outage.kind == "refused" or self._num_failures > 1):
            self._said = outage.kind
            logger.warning(
                "the tracking store %s is lost: %s; training goes on, and its records wait in %s",
                without_password(self._runs.store.uri),
                outage.reason,
                self._file.path,
            )
        if outage.kind == "refused":
            return REFUSED_PAUSE_SECONDS
        pause: float = FIRST_PAUSE_SECONDS * 2 ** min(self._num_failures - 1, 10)
        return min(pause, LONGEST_PAUSE_SECONDS)

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

    def _note_success(self) -> None:
        if self._said is not None:
            logger.info(
                "the tracking store is back after %.0f s; %d records had waited",
                time.monotonic() - self._lost_at,
                self._file.num_waiting,
            )
        self.outage, self._said, self._num_failures = None, None, 0


def deliver(runs: TrialRuns, record: Mapping[str, Any]) -> None:
    """Does what a record tells; doing it twice does it once.

    Args:
        runs: Where it goes.
        record: As `Spool` wrote it.
    """
    rest = dict(record)
    call, uid = rest.pop("call"), rest.pop("uid")
    if call == "start_trial":
        runs.start_trial(uid, **rest)
    elif call == "log_epoch":
        told = EpochRecord(epoch=rest["epoch"], metrics=rest["metrics"])
        runs.log_epoch(uid, told, at_ms=rest["at_ms"])
    else:
        runs.end_trial(uid, rest.pop("state"), **rest)


class Keeping:
    """Hands the error that ends the thread to who can tell the user."""

    def __init__(self, keep: Callable[[BaseException], None]) -> None:
        self._keep = keep

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None:
            self._keep(error)
        return True


class _Noted:
    """Tells of an error that leaves its block which record it is about."""

    def __init__(self, file: SpoolFile, number: int) -> None:
        self._file = file
        self._number = number

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(
                f"This was line {self._number} of {self._file.path}, which stays there. To go on "
                "without it, delete it: `dvc repro` writes what the study holds of it again."
            )
