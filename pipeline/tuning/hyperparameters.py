"""Every hyperparameter of a trial, in the order they are asked in.

This table is what `params.yaml` is checked against and what a search space is made of. It imports
no heavy library. To add one, add an entry to the table of its kind and read it where the model is
built or trained; what it depends on stands before it.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.tuning.head_hyperparameters import HEAD_HYPERPARAMETERS
from pipeline.tuning.hyperparameter import Hyperparameter, Hyperparameters, Value
from pipeline.tuning.training_hyperparameters import TRAINING_HYPERPARAMETERS

__all__ = [
    "HYPERPARAMETERS",
    "Hyperparameter",
    "Hyperparameters",
    "Value",
    "described",
]

HYPERPARAMETERS: dict[str, Hyperparameter] = {**HEAD_HYPERPARAMETERS, **TRAINING_HYPERPARAMETERS}


def described(values: Mapping[str, Any]) -> str:
    """Returns hyperparameters as `name=value, name=value`, numbers with four digits."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )
