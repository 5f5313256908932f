"""Which trials of a study count, and which are best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.trials.record import TrialRecord


def num_finished(trials: Iterable[TrialRecord]) -> int:
    """Counts what `search.trials` counts: configurations that gave a result, on whatever rung."""
    return sum(trial.is_finished and trial.promoted_from is None for trial in trials)


def ranked(trials: Iterable[TrialRecord], direction: str) -> list[TrialRecord]:
    """Returns the complete trials, best first.

    Those of a higher rung come first: values of different rungs do not compare. Of equal values,
    which a share of a few hundred images often has, the smaller validation loss comes first, and
    then the earlier trial.

    Args:
        trials: Of a study.
        direction: `maximize` or `minimize`.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    complete = [trial for trial in trials if trial.state == "COMPLETE"]

    def key(one: TrialRecord) -> tuple[float, float, float, int]:
        return -one.share, sign * (one.value or 0.0), one.loss, one.number

    return sorted(complete, key=key)


def best_trial(trials: Iterable[TrialRecord], direction: str) -> TrialRecord | None:
    """Returns the first of `ranked`; None if no trial is complete."""
    return next(iter(ranked(trials, direction)), None)


@dataclass(frozen=True, kw_only=True)
class RungSummary:
    """What became of the trainings of one rung.

    Attributes:
        share: What each was given of a whole training, in (0, 1].
        num_finished: Trainings that gave a result.
        num_promoted: Of these, those that went on to the next rung.
        best: The best complete one; None if there is none.
        seconds: That all attempts took together, those that were lost among them.
    """

    share: float
    num_finished: int
    num_promoted: int
    best: TrialRecord | None
    seconds: float

    @property
    def name(self) -> str:
        """Its share in words: `1/9 of a training`, `whole trainings`."""
        parts = round(1 / self.share)
        return "whole trainings" if parts == 1 else f"1/{parts} of a training"


def by_rung(trials: Sequence[TrialRecord], direction: str) -> list[RungSummary]:
    """Returns what became of the trainings of each rung, the lowest first.

    Args:
        trials: Of a study.
        direction: `maximize` or `minimize`.
    """
    promoted = {trial.promoted_from for trial in trials if trial.is_finished}
    found = []
    for share in sorted({trial.share for trial in trials if trial.is_finished}):
        own = [trial for trial in trials if trial.share == share]
        finished = [trial for trial in own if trial.is_finished]
        found.append(
            RungSummary(
                share=share,
                num_finished=len(finished),
                num_promoted=sum(trial.number in promoted for trial in finished),
                best=best_trial(finished, direction),
                seconds=sum(trial.seconds or 0.0 for trial in own),
            )
        )
    return found
