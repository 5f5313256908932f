"""What to change about a winner, one hyperparameter at a time, to see what each of them does.

Trials of a search cannot say that: a sampler that learns moves several hyperparameters together,
towards what was good, so that the effect of one is mixed with those of the others. Here everything
else stays as it is, the seeds too (Fawcett and Hoos 2016, "Analysing differences between algorithm
configurations through ablation", Journal of Heuristics 22, take such steps one after the other).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.hyperparameter import Hyperparameters, Value
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS

AUTO: Final = "auto"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One hyperparameter of the winner with another value.

    Attributes:
        name: Of the hyperparameter.
        value: That it is given.
        source: Where the value is from: `defaults` of params.yaml, or the next best configuration
            that has another one.
        hyperparameters: All that are active then. Those that the change switches on have their
            defaults.
    """

    name: str
    value: Value
    source: Literal["default", "runner-up"]
    hyperparameters: Hyperparameters


def changes(
    winner: Hyperparameters,
    others: Sequence[Hyperparameters],
    space: SearchSpace,
    order: Sequence[str] = (),
) -> list[Change]:
    """Returns what is to be tried, one change of each searched hyperparameter before any second.

    A hyperparameter is put back to its default, or where that is what the winner has, to what the
    runner-up has. The second changes are those of the runner-up where the first were defaults.

    Args:
        winner: All active hyperparameters.
        others: Of other good configurations, best first.
        space: Of the study, with the cuts that were embedded.
        order: Names, most important first; others follow in the order of the table.
    """
    names = [name for name in space.searched if name in winner]
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    first, second = [], []
    for name in names:
        found = [
            change
            for source, value in (
                ("default", space.defaults[name]),
                ("runner-up", _other_value(name, winner, others)),
            )
            if (change := _change(name, value, source, winner, space)) is not None
        ]
        first += found[:1]
        second += [one for one in found[1:] if one.value != found[0].value]
    return [*first, *second]


def _other_value(
    name: str, winner: Hyperparameters, others: Sequence[Hyperparameters]
) -> Value | None:
    values = (other[name] for other in others if name in other)
    return next((value for value in values if value != winner[name]), None)


def _change(
    name: str, value: Value | None, source: str, winner: Hyperparameters, space: SearchSpace
) -> Change | None:
    if value is None or value in (AUTO, winner[name]):
        return None
    values = _completed({**winner, name: value}, space)
    if "unfreeze" in values and not space.allows(values):
        return None
    return Change(name=name, value=value, source=source, hyperparameters=values)  # type: ignore[arg-type]


def _completed(wanted: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """Returns all that are active beside each other, in the table's order."""
    values: dict[str, Value] = {}
    for name, spec in HYPERPARAMETERS.items():
        if not spec.is_active(values):
            continue
        fixed = space.settings.get(name)
        is_fixed = isinstance(fixed, str | int | float | bool)
        values[name] = wanted.get(name, fixed if is_fixed else space.defaults[name])  # type: ignore[arg-type]
    return values
