"""What the hyperparameters of a study did, as a diagnosis holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pipeline.hyperparameter import Value
from pipeline.trials.record import as_record


@dataclass(frozen=True, kw_only=True)
class ImportanceRecord:
    """How much a hyperparameter decided, among all.

    Attributes:
        name: Of the hyperparameter.
        share: Of the importance of all, in [0, 1], as Optuna has it.
        noise: What it stays below, in the same unit, when the values are dealt out at random: it
            and all others together in 95% of cases.
        score: By how many standard deviations it is above what chance gives it.
        num_trials: In how many it exists.
    """

    name: str
    share: float
    noise: float
    score: float
    num_trials: int

    @property
    def is_clear(self) -> bool:
        """Whether chance is no explanation."""
        return self.share > self.noise


@dataclass(frozen=True, kw_only=True)
class ImportancesRecord:
    """What a search says of its hyperparameters: see `search.importance`.

    Attributes:
        found: Of each that took part, by their scores.
        share: What the trials were given of a whole training, in (0, 1].
        num_trials: That were compared.
        num_worst: Of these, how many were pruned or diverged.
        num_best: Those that are called the best.
        agreement: Kendall's tau-a of the lowest rung and the next, from -1 to 1, or None.
        num_agreement: Over how many configurations that is, or None.
    """

    found: Sequence[ImportanceRecord]
    share: float
    num_trials: int
    num_worst: int
    num_best: int
    agreement: float | None
    num_agreement: int | None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads `importances`."""
        return as_record(cls, content, found=[ImportanceRecord(**one) for one in content["found"]])


@dataclass(frozen=True, kw_only=True)
class ChangeRecord:
    """One hyperparameter of the winner with another value, all else as it was.

    Attributes:
        name: Of the hyperparameter.
        chosen: What the winner has.
        value: What it was given instead.
        source: `default` or `runner-up`.
        effect: How much better that is, in the objective; below 0: worse. None: it was not trained
            with every seed, or cannot be.
        low: Lower end of its interval.
        high: Upper end. The intervals of all changes hold together in 95% of cases.
        is_diverged: Whether a training with it diverged.
    """

    name: str
    chosen: Value
    value: Value
    source: str
    effect: float | None
    low: float | None
    high: float | None
    is_diverged: bool = False

    @property
    def verdict(self) -> str:
        """What the interval says."""
        if self.low is None or self.high is None:
            return "diverged" if self.is_diverged else "not trained"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no clear difference"


@dataclass(frozen=True, kw_only=True)
class AblationRecord:
    """The winner with one change at a time.

    Attributes:
        share: What each training was given of a whole one, in (0, 1].
        num_seeds: Pairs of trainings behind each effect.
        changes: In the order in which they were tried.
        num_left: Changes that there was no time for.
    """

    share: float
    num_seeds: int
    changes: Sequence[ChangeRecord]
    num_left: int

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads `ablation`."""
        changes = [ChangeRecord(**one) for one in content["changes"]]
        return as_record(cls, content, changes=changes)


@dataclass(frozen=True, kw_only=True)
class RandomRecord:
    """Configurations drawn at random against as many that the sampler chose after them.

    Attributes:
        count: Of each.
        random: The best value of those drawn at random, on the lowest rung.
        sampled: The best of the sampler's.
    """

    count: int
    random: float
    sampled: float
