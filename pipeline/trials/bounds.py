"""Values near the end of the range that was searched, beyond which better ones may lie.

Reference: Godbole et al. 2023, Deep Learning Tuning Playbook, "Identifying bad search space
boundaries".
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.hyperparameter import Value
from pipeline.training.hyperparameters import HYPERPARAMETERS

NEAR: Final = 0.05
"""Share of a range, in its own scale, within which a value is near its end."""
FEWEST_TRIED: Final = 10
"""Configurations; of fewer the best says nothing of where better ones lie."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What a hyperparameter was drawn from, as in `params.yaml`.

    Attributes:
        type: `float`, `int` or `choice`.
        low: Smallest number, of a range.
        high: Largest number, of a range.
        log: Whether a range is uniform in its logarithm.
        choices: The values of a choice.
    """

    type: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: Sequence[Value] = ()


@dataclass(frozen=True, kw_only=True)
class BoundRecord:
    """A value near the end of its range.

    Attributes:
        name: Of the hyperparameter.
        value: That was chosen.
        side: Which end, `low` or `high`.
        bound: The end.
    """

    name: str
    value: float
    side: str
    bound: float


def near_bounds(
    values: Mapping[str, Value], space: Mapping[str, Distribution], *, num_tried: int
) -> list[BoundRecord]:
    """Returns each value near its range's end, in the order of the space.

    Ends that are the legal limit do not count: no value lies beyond them.

    Args:
        values: By name, the hyperparameters that were chosen.
        space: By name, the distribution of each that was searched.
        num_tried: Configurations that they were chosen from; of fewer than `FEWEST_TRIED` nothing
            is said.
    """
    if num_tried < FEWEST_TRIED:
        return []
    found = []
    for name, distribution in space.items():
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        side = _side(value, distribution)
        if side is None:
            continue
        bound = distribution.low if side == "low" else distribution.high
        if not _is_legal_limit(name, bound, side):
            found.append(BoundRecord(name=name, value=float(value), side=side, bound=bound))
    return found


def _side(value: float, distribution: Distribution) -> str | None:
    if distribution.type == "choice":
        return None
    scale: Callable[[float], float] = math.log if distribution.log else float
    low, high = scale(distribution.low), scale(distribution.high)
    place = (scale(value) - low) / (high - low)
    return "low" if place <= NEAR else "high" if place >= 1 - NEAR else None


def _is_legal_limit(name: str, bound: float, side: str) -> bool:
    # No advice to go where nothing is: a dropout rate below 0, a sixth hidden layer.
    spec = HYPERPARAMETERS.get(name)
    limit = None if spec is None else (spec.low if side == "low" else spec.high)
    return limit is not None and math.isclose(bound, limit)
