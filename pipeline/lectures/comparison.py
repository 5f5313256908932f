"""What is compared with what, and what a lecture says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.bases.table import NO_BASE

if TYPE_CHECKING:
    from pipeline.evaluation.intervals import Interval
    from pipeline.hyperparameter import Value


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the configurations that are compared.

    Attributes:
        changes: Hyperparameters that are its own, on top of what all have in common.
        base: What its features are of: a base, or `none` for the pixels.
        num_images: That it learns from; None: as many as there are.
    """

    changes: Mapping[str, Value] = field(default_factory=dict)
    base: str = NO_BASE
    num_images: int | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something that a lecture says, as a sum that lies above 0 where it is so.

    Attributes:
        text: In a few words.
        weights: Of what each variant reaches.
    """

    text: str
    weights: Mapping[str, float]


Answer = Literal["held", "did not hold", "cannot be told"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A claim with what came of it.

    Attributes:
        claim: What was said.
        effect: The sum, with its interval.
    """

    claim: Claim
    effect: Interval

    @property
    def answer(self) -> Answer:
        """Whether it held."""
        if self.effect.low is None or self.effect.high is None:
            return "cannot be told"
        if self.effect.low > 0:
            return "held"
        return "did not hold" if self.effect.high < 0 else "cannot be told"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared, and what a lecture says of it.

    Attributes:
        name: Of the command line.
        heading: Of the lecture.
        question: What it shows, as a question.
        variants: By name.
        claims: About them.
        common: Hyperparameters of all, on top of the defaults of params.yaml.
        epochs: Of each training.
        rates: Learning rates that each variant is trained with; of these it has the one with which
            the validation part was answered best, in the mean over the seeds. Empty: its own.
        by_cost: Whether its figure has the loss by update and by second: where an epoch of one
            variant costs more than one of another.
    """

    name: str
    heading: str
    question: str
    variants: Mapping[str, Variant]
    claims: Sequence[Claim]
    common: Mapping[str, Value] = field(default_factory=dict)
    epochs: int = 10
    rates: Sequence[float] = ()
    by_cost: bool = False
