"""When the alias `champion` moves: to a file that is shown to be better than the champion's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.evaluation.paired import Superiority

LEVEL: Final = 0.05
"""How often, at most, a version that is not better becomes champion on some confirmation images."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a model showed on the confirmation part; kept as tags of its version.

    Attributes:
        objective: A key of `OBJECTIVES`.
        data_digest: Of the training file, its division included.
        weights_sha256: Of the model's weights, in order.
        mean: Of the objective's metric over `num_seeds` trainings.
        low: Lower end of its 95% interval; None where one training shows no spread.
        high: Upper end of it, or None.
        n: Images of the confirmation part.
        num_seeds: Trainings with these hyperparameters.
    """

    objective: str
    data_digest: str
    weights_sha256: str
    mean: float
    low: float | None
    high: float | None
    n: int
    num_seeds: int

    @property
    def figures(self) -> dict[str, str | float | None]:
        """What the model showed, by name; what `registration.json` holds of it."""
        names = ("objective", "mean", "low", "high", "n", "num_seeds")
        return {name: getattr(self, name) for name in names}

    def tags(self) -> dict[str, str]:
        """Returns the evidence as tags of a model version."""
        figures = {name: getattr(self, name) for name in ("mean", "low", "high", "n", "num_seeds")}
        return {
            "objective": self.objective,
            "data_digest": self.data_digest,
            "weights_sha256": self.weights_sha256,
            **{
                f"confirmation.{n}": str(value) for n, value in figures.items() if value is not None
            },
        }


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a version becomes champion.

    Attributes:
        moves: Whether it does.
        reason: Why, in a sentence that people read.
        is_challenger: Whether it was compared with the champion, and not shown to be better.
        leaves_champion: Whether another version stays champion, by a comparison or a person's will.
    """

    moves: bool
    reason: str
    is_challenger: bool = False
    leaves_champion: bool = False


def level(number: int) -> float:
    """Returns what the p-value of a comparison must not exceed.

    The levels of all comparisons on the same images sum to `LEVEL`, however many there are: so
    often at most does one that is not better become champion, by Boole's inequality, whatever was
    tried before. The form is a choice; spending a fixed level over looks that are not counted in
    advance is Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials". That a
    challenger was chosen among the candidates of its own confirmation, on the same images, is not
    counted: it flatters a champion of the same data as much, one of other data not.

    Args:
        number: Of the comparison among those on the same images, counted from 1.

    >>> [round(level(number), 4) for number in (1, 2, 10)]
    [0.0304, 0.0076, 0.0003]
    """
    return LEVEL * 6 / (math.pi * number) ** 2


def decide(
    found: Superiority, *, number: int, version: str, measure: str, is_other_data: bool
) -> Decision:
    """Says whether a version takes the alias from the champion.

    Args:
        found: Of the two files on the same confirmation images, the challenger's first.
        number: Of this comparison among those on these images, counted from 1.
        version: The champion's number.
        measure: What was compared, such as `accuracy`.
        is_other_data: Whether the champion learned from other data, perhaps from these images.
    """
    allowed = level(number)
    moves = found.p_value <= allowed
    between = found.difference
    reason = (
        f"its file has {measure} {found.first:.4f} on the {between.n} confirmation images, version "
        f"{version}'s {found.second:.4f} (better by {between.value:.4f}, 95% interval "
        f"{between.low:.4f} to {between.high:.4f}): {'' if moves else 'not '}shown to be better "
        f"(p = {found.p_value:.2g}, at most {allowed:.2g} in comparison {number} on these images)"
    )
    if is_other_data:
        reason += (
            f"; version {version} learned from other data, in which these images may have been"
        )
    return Decision(moves=moves, reason=reason, is_challenger=not moves, leaves_champion=not moves)


def interval_text(evidence: Evidence) -> str:
    """Returns the 95% interval in words; empty where there is none."""
    if evidence.low is None or evidence.high is None:
        return ""
    return f"95% interval {evidence.low:.4f} to {evidence.high:.4f}"
