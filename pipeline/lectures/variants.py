"""What many comparisons have in common, and the words that they are written in."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.hyperparameter import Value
from pipeline.lectures.comparison import Claim, Variant

BASE: Final = "lite0"
"""Of the comparisons on the features of a base."""
FEW: Final = 500
MANY: Final = 4000
"""Images that are little or much to learn from, here."""

PLAIN: Final[Mapping[str, Any]] = {
    "images_per_epoch": 1,
    "early_stopping": "none",
    "dropout": "none",
}
"""Nothing but what is compared: no rule that ends a training early, nothing dropped."""
DEEP: Final[Mapping[str, Any]] = {**PLAIN, "num_layers": 5, "units": 100}
RATES: Final = (0.001, 0.003, 0.01)


def each(name: str, *values: Value) -> dict[str, Variant]:
    """Returns a variant for each value of a hyperparameter."""
    return {str(value): Variant(changes={name: value}) for value in values}


def both(
    one: Mapping[str, Mapping[str, Value]], other: Mapping[str, Mapping[str, Value]]
) -> dict[str, Variant]:
    """Returns a variant for each pair of two factors' values, named `a, b`."""
    return {
        f"{a}, {b}": Variant(changes={**of_a, **of_b})
        for a, of_a in one.items()
        for b, of_b in other.items()
    }


def better(one: str, other: str, text: str | None = None) -> Claim:
    """Returns the claim that a variant reaches more than another."""
    return Claim(text=text or f"{one} better than {other}", weights={one: 1.0, other: -1.0})


def more(text: str, pair: tuple[str, str], than: tuple[str, str]) -> Claim:
    """Returns the claim that one difference of two variants is larger than another."""
    weights = {pair[0]: 1.0, pair[1]: -1.0, than[0]: -1.0, than[1]: 1.0}
    return Claim(text=text, weights=weights)
