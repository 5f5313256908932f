"""Trainings that are all wanted, however long they take; no trials of any study."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import StudyError
from pipeline.processes import raise_received
from pipeline.search.executors.base import EpochDone, Executor, TrialDone, TrialLost
from pipeline.training.data import TrialData
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that has ended.

    Attributes:
        records: Of its epochs, in order.
        result: What it gave.
    """

    records: Sequence[EpochRecord]
    result: TrialResult


def train_all(
    wanted: Sequence[tuple[TrialSpec, TrialData]],
    executor: Executor,
    *,
    advance: Callable[[], object] = lambda: None,
) -> Mapping[str, Training]:
    """Trains what is wanted, and returns it by uid, in the order given.

    What is lost with its worker is begun again, once.

    Args:
        wanted: What to train, each with what it is trained on.
        executor: Where.
        advance: Called as each ends.

    Raises:
        StudyError: If one raises, or is lost again.
    """
    waiting, of_uid, lost = list(wanted), {one[0].uid: one for one in wanted}, set[str]()
    records: dict[str, list[EpochRecord]] = {spec.uid: [] for spec, _ in wanted}
    found: dict[str, Training] = {}
    while len(found) < len(wanted):
        raise_received()
        while waiting and executor.num_free:
            executor.submit(*waiting.pop(0))
        for event in executor.wait(timeout_seconds=0.5):
            if isinstance(event, EpochDone):
                records[event.uid].append(event.record)
                executor.answer(event.uid, stop=False)
            elif isinstance(event, TrialDone):
                found[event.uid] = Training(records=records[event.uid], result=event.result)
                advance()
            elif isinstance(event, TrialLost) and event.uid not in lost:
                lost.add(event.uid)
                records[event.uid].clear()
                waiting.insert(0, of_uid[event.uid])
            else:
                reason = getattr(event, "message", "") or getattr(event, "reason", "")
                raise StudyError(f"The training {event.uid} failed: {reason}.")
    return {spec.uid: found[spec.uid] for spec, _ in wanted}
