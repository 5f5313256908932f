"""What a configuration reached in a confirmation: an entry of `candidates` in `confirm.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from pipeline.hyperparameter import Hyperparameters
from pipeline.trials.record import as_record


@dataclass(frozen=True, kw_only=True)
class StandingRecord:
    """Where a configuration stands among the others, by images and seeds drawn anew.

    Attributes:
        probability_best: That its mean is the best, in [0, 1]; see `evaluation.paired`.
        behind: How much better the best mean is, >= 0.
        low: Lower end of the interval of that difference.
        high: Upper end of it. The intervals of all candidates hold together in 95% of cases.
        is_tied: Whether it is behind by no more than a standard error.
        num_parameters: Weights, those of the base below it among them; of its largest training.
    """

    probability_best: float
    behind: float
    low: float
    high: float
    is_tied: bool
    num_parameters: int


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """What a configuration reached on the confirmation part.

    Attributes:
        number: Number of the trial in the search that it comes from.
        hyperparameters: All active ones.
        search_value: The objective that this trial reached.
        search_share: What the trial was given of a whole training, in (0, 1]; written if below 1.
        seeds: A seed for each training that was done anew.
        values: The objective's metric on the confirmation part, one for each training.
        mean: Mean of the values.
        std: Their sample standard deviation; None for a single one.
        low: Lower end of the mean's 95% interval; None for a single value.
        high: Upper end of it, likewise.
        num_seeds: How many trainings there are, >= 1.
        standing: Among those that could win; None of one that had fewer seeds than others and was
            behind over these, of the only one that could, and in early releases.
    """

    number: int
    hyperparameters: Hyperparameters
    search_value: float | None
    seeds: Sequence[int]
    values: Sequence[float]
    mean: float
    std: float | None
    low: float | None
    high: float | None
    num_seeds: int
    standing: StandingRecord | None = None
    search_share: float = 1.0

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads an entry of `candidates`."""
        standing = content.get("standing")
        return as_record(
            cls, content, standing=None if standing is None else as_record(StandingRecord, standing)
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the entry of `candidates`."""
        content = asdict(self)
        if self.standing is None:
            del content["standing"]
        if self.search_share == 1:
            del content["search_share"]
        return content

    @property
    def is_tied(self) -> bool:
        """Whether it is behind the best mean by no more than a standard error."""
        return self.standing is not None and self.standing.is_tied
