"""What the driver needs of whatever runs its trials.

A trial runs somewhere else; what happens there comes back as events. The driver answers each
epoch: go on, or stop. An executor never retries: it says what was lost, and the driver decides.
"""

import gc
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pipeline.training.data import TrialData
from pipeline.training.messages import EpochRecord, Report, TrialResult, TrialSpec

Train = Callable[[TrialSpec, TrialData, Report], TrialResult]


@dataclass(frozen=True)
class EpochDone:
    """An epoch ended; the trial waits for `answer`."""

    uid: str
    record: EpochRecord


@dataclass(frozen=True)
class TrialDone:
    """A training ended by itself, by its own rule, or because it was told to stop."""

    uid: str
    result: TrialResult


@dataclass(frozen=True)
class TrialRaised:
    """The worker function raised; the same hyperparameters would raise again.

    Attributes:
        is_infeasible: It was an `InfeasibleTrialError`: these hyperparameters cannot be trained.
    """

    uid: str
    message: str
    traceback: str
    is_infeasible: bool


@dataclass(frozen=True)
class TrialLost:
    """The attempt vanished (killed, out of memory, over its time); another may succeed.

    Attributes:
        with_machine: Its whole machine went, and every other trial on it: this one is no suspect.
    """

    uid: str
    reason: str
    with_machine: bool = False


Event = EpochDone | TrialDone | TrialRaised | TrialLost


class Executor(ABC):
    """Runs trials somewhere; used as a context manager, which ends whatever still runs.

    **Ownership.** Each submitted uid yields any number of `EpochDone`, each of which must be
    answered, and then exactly one of the other events.
    """

    @property
    @abstractmethod
    def num_free(self) -> int:
        """How many more trials can be submitted now, >= 0."""

    @abstractmethod
    def submit(self, spec: TrialSpec, data: TrialData) -> None:
        """Starts a trial; only while `num_free` > 0."""

    @abstractmethod
    def answer(self, uid: str, *, stop: bool) -> None:
        """Tells a trial that waits after an epoch to go on or to stop; a lost one is ignored."""

    @abstractmethod
    def wait(self, timeout_seconds: float) -> list[Event]:
        """Returns what has happened, at the latest after the timeout (then possibly nothing)."""

    @abstractmethod
    def close(self) -> None:
        """Ends every worker at once; trials that still run are lost without an event."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def tensorflow_worker(*, num_threads: int = 1) -> Train:
    """Imports TensorFlow into this process and returns the worker function that trains with it.

    Args:
        num_threads: Of TensorFlow, >= 1.
    """
    from pipeline.training.devices import configure_tensorflow
    from pipeline.training.worker import run_trial

    configure_tensorflow(num_threads=num_threads)
    if not gc.get_freeze_count():
        # What was imported stays; to look through it takes 0.3 s, before each trial.
        gc.collect()
        gc.freeze()
    return run_trial


class FatalErrors:
    """Tells the driver of whatever error ends its block, and ends the process.

    Nothing is caught: after an unexpected error TensorFlow's state is anybody's guess, so the next
    trial gets a new process.

    Args:
        uid: Of the trial that runs in the block.
        tell: Takes the event to the driver; returns when it is on its way for certain.
        driver_gone: Errors which mean that nobody listens any more.
    """

    def __init__(
        self,
        uid: str,
        tell: Callable[[TrialRaised], object],
        *,
        driver_gone: tuple[type[Exception], ...],
    ) -> None:
        self._uid = uid
        self._tell = tell
        self._driver_gone = driver_gone

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or kind is None or kind is SystemExit:
            return
        if not isinstance(error, self._driver_gone):
            text = "".join(traceback.format_exception(kind, error, trace))
            self._tell(TrialRaised(self._uid, f"{kind.__name__}: {error}", text, False))
        sys.exit(1)
