"""What the driver needs of whatever runs its trials.

A trial runs somewhere else; what happens there comes back as events. The driver answers each
epoch: go on, or stop. An executor never retries: it says what was lost, and the driver decides.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from pipeline.tuning.records import DataReference, EpochRecord, TrialResult, TrialSpec


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
    """The attempt vanished (killed, out of memory, over its time); another may succeed."""

    uid: str
    reason: str


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
    def submit(self, spec: TrialSpec, data: DataReference) -> None:
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
