"""Every hyperparameter of a trial, in the order they are asked in.

This table is what `params.yaml` is checked against and what a search space is made of. It imports
no heavy library. To add one, add an entry to the table of its kind and read it where the model is
built or trained; what it depends on stands before it.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.features.joined_cuts import cut_name
from pipeline.hyperparameter import Hyperparameter, Hyperparameters, Value
from pipeline.training.head_hyperparameters import HEAD_HYPERPARAMETERS
from pipeline.training.training_hyperparameters import TRAINING_HYPERPARAMETERS

__all__ = [
    "HYPERPARAMETERS",
    "Hyperparameter",
    "Hyperparameters",
    "Value",
    "described",
    "named",
]

HYPERPARAMETERS: dict[str, Hyperparameter] = {**HEAD_HYPERPARAMETERS, **TRAINING_HYPERPARAMETERS}


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns hyperparameters as trials have them: a list of cuts by its name.

    A list that is none of cuts is left as it is, for `Hyperparameter.problem` to refuse.

    Args:
        values: By name, as written in `params.yaml`: values or, in a space, distributions.
    """
    return {name: _named(written) if _is_cut(name) else written for name, written in values.items()}


def _is_cut(name: str) -> bool:
    return name in HYPERPARAMETERS and HYPERPARAMETERS[name].kind == "name"


def _named(written: Any) -> Any:
    if isinstance(written, dict) and isinstance(written.get("choices"), list):
        return {**written, "choices": [cut_name(choice) for choice in written["choices"]]}
    return cut_name(written)


def described(values: Mapping[str, Any]) -> str:
    """Returns hyperparameters as `name=value, name=value`, numbers with four digits."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )
