"""What a search shows: its trials as values and curves, its best, and what it says of the space."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.hyperparameter import Value
from pipeline.training.hyperparameters import HYPERPARAMETERS
from pipeline.trials.bounds import BoundRecord, Distribution, near_bounds
from pipeline.trials.ranking import RungSummary, by_rung, ranked
from pipeline.trials.record import OPEN, TrialRecord, as_record
from pipeline.trials.study import StudyRecord

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TrialSummary:
    """One attempt.

    Attributes:
        number: Optuna's number of the trial.
        outcome: `complete`, `pruned`, `diverged`, `failed`, `cut off`, or `unfinished`.
        value: The objective's value, for a pruned trial the last; None if none is finite.
        hyperparameters: All that were active.
        curve: The objective by epoch, counted from 1; finite values only.
        seconds: From start to end; None if unknown.
        share: What it was given of a whole training, in (0, 1].
    """

    number: int
    outcome: str
    value: float | None
    hyperparameters: Mapping[str, Value]
    curve: list[tuple[int, float]]
    seconds: float | None
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SearchSummary:
    """A search.

    Attributes:
        objective: A key of `OBJECTIVES`.
        maximize: Whether higher is better.
        space: By searched hyperparameter its distribution.
        trials: All attempts, by number.
        ranked: The complete trials, best first, those of the highest rung before all others.
        rungs: What became of each rung, the lowest first.
    """

    objective: str
    maximize: bool
    space: Mapping[str, Distribution]
    trials: list[TrialSummary]
    ranked: Sequence[TrialSummary]
    rungs: Sequence[RungSummary] = ()

    @property
    def best(self) -> TrialSummary | None:
        """The best complete trial, of the highest rung; None without any."""
        return next(iter(self.ranked), None)

    @property
    def compared(self) -> list[TrialSummary]:
        """The trials of the lowest rung: there all configurations were trained alike."""
        lowest = self.rungs[0].share if self.rungs else 1.0
        return [trial for trial in self.trials if trial.share == lowest]

    @property
    def objective_name(self) -> str:
        """The objective in words, such as `validation log loss`."""
        words = self.objective.replace("val_", "validation ", 1).replace("_", " ")
        return words.replace("f1", "F1")

    @property
    def is_share(self) -> bool:
        """Whether its values lie in [0, 1] and read best as a percentage."""
        return self.objective in {"val_accuracy", "val_macro_f1"}

    def of(self, *outcomes: str) -> list[TrialSummary]:
        """Returns the trials with one of these outcomes."""
        return [trial for trial in self.trials if trial.outcome in outcomes]

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` is strictly better than `other`."""
        return OBJECTIVES[self.objective].is_better(value, other)


def summarize_search(search: StudyRecord) -> SearchSummary:
    """Returns a study's record in the form that the report draws.

    Args:
        search: The study, with the best trial or without one.
    """
    maximize = search.direction == "maximize"
    trials = [_trial(trial) for trial in search.trials]
    best_first, of = ranked(search.trials, search.direction), {one.number: one for one in trials}
    return SearchSummary(
        objective=search.objective,
        maximize=maximize,
        space=in_table_order(
            {name: as_record(Distribution, one) for name, one in search.space.items()}
        ),
        trials=trials,
        ranked=[of[one.number] for one in best_first if of[one.number].value is not None],
        rungs=by_rung(search.trials, search.direction),
    )


def in_table_order(by_name: Mapping[str, T]) -> dict[str, T]:
    """Returns what is keyed by hyperparameter in the order of their table; the files sort names."""
    known = {name: by_name[name] for name in HYPERPARAMETERS if name in by_name}
    return {**known, **by_name}


def best_so_far(summary: SearchSummary) -> list[tuple[int, float]]:
    """Returns (trial number, best value up to it) at each complete trial.

    The best is of the highest rung that any trial has ended on by then.
    """
    steps: list[tuple[int, float]] = []
    share = 0.0
    for trial in summary.of("complete"):
        if trial.value is None:
            continue
        is_higher = trial.share > share
        can_improve = trial.share == share and summary.is_better(trial.value, steps[-1][1])
        steps.append((trial.number, trial.value if is_higher or can_improve else steps[-1][1]))
        share = max(share, trial.share)
    return steps


def focus(values: Sequence[float], *, maximize: bool) -> tuple[float, float]:
    """Returns axis limits that show the good values apart, whatever a few bad ones are.

    The bad end lies at most three times as far from the median as the best value does.

    Args:
        values: At least one, finite.
        maximize: Whether higher is better.

    >>> focus([0.1, 0.92, 0.93, 0.94], maximize=True)[0] > 0.8
    True
    """
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    reach = 3 * ((ordered[-1] - middle) if maximize else (middle - ordered[0]))
    low, high = ordered[0], ordered[-1]
    if reach > 0:
        low, high = (
            (max(low, middle - reach), high) if maximize else (low, min(high, middle + reach))
        )
    margin = 0.06 * (high - low) or max(abs(high), 1e-3) * 0.05
    return low - margin, high + margin


def bound_notes(
    study: str,
    values: Mapping[str, Value],
    space: Mapping[str, Distribution],
    *,
    num_tried: int,
) -> list[str]:
    """Says where a chosen value lies near its range's end, and what to do about it.

    Args:
        study: Its key in `params.yaml`.
        values: By name, the hyperparameters that were chosen.
        space: By name, the distribution of each that was searched.
        num_tried: Configurations that they were chosen from.
    """
    found = near_bounds(values, space, num_tried=num_tried)
    return [_bound_note(study, one, space[one.name]) for one in found]


def _bound_note(study: str, near: BoundRecord, distribution: Distribution) -> str:
    scale = " on its log scale" if distribution.log else ""
    end = "lower" if near.side == "low" else "upper"
    move = "lowering" if near.side == "low" else "raising"
    return (
        f"{near.name} = {near.value:.4g} lies within 5% of its {end} bound {near.bound:g}{scale}: "
        "the best value may lie beyond. "
        f"Consider {move} studies.{study}.space.{near.name}.{near.side}."
    )


def _trial(trial: TrialRecord) -> TrialSummary:
    curve = [(epoch + 1, value) for epoch, value in trial.curve.items()]
    value = trial.value
    if value is None and trial.state == "PRUNED" and curve:
        value = curve[-1][1]
    return TrialSummary(
        number=trial.number,
        outcome=_outcome(trial),
        value=value if value is not None and math.isfinite(value) else None,
        hyperparameters=trial.hyperparameters,
        curve=curve,
        seconds=trial.seconds,
        share=trial.share,
    )


def _outcome(trial: TrialRecord) -> str:
    if trial.is_diverged:
        return "diverged"
    is_over = trial.state not in OPEN
    return {"FAIL": "failed"}.get(trial.ending, trial.ending.lower()) if is_over else "unfinished"
