"""Every hyperparameter of a trial, in the order they are asked in.

This table is what `params.yaml` is checked against and what a search space is made of. Components
that are chosen by name declare their own where they are registered, and are collected here; what
every training has stands here. The order decides what a sampler draws and is part of a study's
identity; what a hyperparameter depends on stands before it. No heavy library is imported.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from pipeline.features.joined_cuts import cut_name
from pipeline.hyperparameter import (
    Hyperparameter,
    choice,
    count,
    non_negative,
    positive,
    unit_interval,
    where,
)
from pipeline.training import initializers
from pipeline.training.activations import ACTIVATIONS
from pipeline.training.optimizers import CLIPPING, OPTIMIZERS
from pipeline.training.rules import STOPPING_RULES
from pipeline.training.schedules import SCHEDULES

__all__ = [
    "HYPERPARAMETERS",
    "described",
    "named",
]

_WrittenT = TypeVar("_WrittenT")

MAX_LAYERS: Final = 5
MAX_UNITS: Final = 1024
MAX_SEGMENTS: Final = 3


def _layers_above(index: int) -> tuple[int, ...]:
    return tuple(range(index + 1, MAX_LAYERS + 1))


_HIDDEN: Final = where(num_layers=_layers_above(0))
_UNFROZEN: Final = where(unfreeze=tuple(range(1, MAX_SEGMENTS + 1)))

_FEATURES: Final[dict[str, Hyperparameter]] = {
    "cut": Hyperparameter(
        kind="name",
        help="layer of the base whose output feeds the head, or a list of layers side by side; "
        "auto: all that were embedded",
    ),
    "pooling": choice(
        "none",
        "average",
        "global",
        help="of the cut's output before flattening: 2x2 average, or the average of each channel",
    ),
    "views": choice(
        "all",
        "none",
        help="embedded views of the training images, such as their mirror images: trained on "
        "beside the images, or left out",
    ),
    "feature_scaling": choice(
        "standardize",
        "unit",
        "none",
        help="standardize: zero mean, unit variance per channel of the training part; "
        "unit: divided by 255",
    ),
}

_LAYERS: Final[dict[str, Hyperparameter]] = {
    "num_layers": count("hidden layers", low=0, high=MAX_LAYERS),
    "units_shape": choice(
        "same",
        "per_layer",
        help="one width for all hidden layers, or one each",
        active_when=_HIDDEN,
    ),
    "units": count(
        "units of every hidden layer", high=MAX_UNITS, active_when=where(units_shape="same")
    ),
    **{
        f"units_{index}": count(
            f"units of hidden layer {index}, counted from 0 at the features",
            high=MAX_UNITS,
            active_when=where(units_shape="per_layer", num_layers=_layers_above(index)),
        )
        for index in range(MAX_LAYERS)
    },
    "activation": choice(*ACTIVATIONS, help="of the hidden layers", active_when=_HIDDEN),
    **ACTIVATIONS.parameters,
    **{
        name: replace(spec, active_when={**_HIDDEN, **spec.active_when})
        for name, spec in initializers.PARAMETERS.items()
    },
    "normalization": choice(
        "none",
        "before",
        "after",
        help="batch normalization before or after each activation",
        active_when=_HIDDEN,
    ),
    "normalize_first": choice(False, True, help="batch normalization as the head's first layer"),
    "batch_norm_momentum": unit_interval("of the moving statistics"),
    "batch_norm_epsilon": positive("added to the variance", high=1),
}

_REGULARIZATION: Final[dict[str, Hyperparameter]] = {
    "dropout": choice(
        "none",
        "input",
        "all",
        "last",
        help="where: on the head's input, on all hidden layers and the input, or on the last ones",
    ),
    "dropout_layers": count(
        "how many hidden layers count as the last ones",
        high=MAX_LAYERS,
        active_when=where(dropout="last"),
    ),
    "dropout_rate": unit_interval(
        "share of values dropped; alpha dropout with selu",
        active_when=where(dropout=("input", "all", "last")),
    ),
    "regularizer": choice(
        "none",
        "l1",
        "l2",
        "elastic_net",
        help="penalty on the weights of every dense layer of the head",
    ),
    "l1": non_negative(
        "factor of the sum of absolute weights",
        active_when=where(regularizer=("l1", "elastic_net")),
    ),
    "l2": non_negative(
        "factor of the sum of squared weights",
        active_when=where(regularizer=("l2", "elastic_net")),
    ),
}

_OPTIMIZATION: Final[dict[str, Hyperparameter]] = {
    "optimizer": choice(*OPTIMIZERS, help="update rule"),
    "learning_rate": positive("the schedule's peak", high=100),
    **OPTIMIZERS.parameters,
    "schedule": choice(*SCHEDULES, help="of the learning rate"),
    **SCHEDULES.parameters,
    **CLIPPING,
    "batch_size": count(
        "images per update; 1 is online learning, full the whole training part",
        high=65536,
        words=("full",),
    ),
    "images_per_epoch": count(
        "an epoch of phase 1 goes over a smaller training part several times, to come near "
        "this many: a few hundred images then get as many updates as they need",
        high=1_000_000,
    ),
    "bootstrap": choice(
        False,
        True,
        help="each training has its own draw of the training images, with replacement, by its "
        "seed: bagging, where `confirm.export` puts several into one model",
        former=False,
    ),
    "early_stopping": choice(
        *STOPPING_RULES,
        help="when the validation metric stalls, or when the gradient's norm is small; "
        "the best epoch's weights are kept in every case",
    ),
    **STOPPING_RULES.parameters,
    "class_weight": choice(
        "none",
        "balanced",
        help="balanced: each class weighs the same in the loss, whatever its size",
    ),
}

_PHASE_2: Final[dict[str, Hyperparameter]] = {
    "unfreeze": count(
        "segments of the base below the cut that phase 2 trains with the head; each reaches "
        "down to the next embedded cut; 0: all stays frozen and there is no phase 2",
        low=0,
        high=MAX_SEGMENTS,
    ),
    "unfreeze_layers": count(
        "all layers of that segment, or only the last one or two with weights below the cut, "
        "in whatever segment they lie; batch normalization is none of them",
        high=2,
        words=("all",),
        active_when=where(unfreeze=1),
    ),
    "learning_rate_ratio": Hyperparameter(
        kind="float",
        low=1e-3,
        high=0.5,
        active_when=_UNFROZEN,
        help="rate of phase 2 over the one that the schedule of phase 1 has as far into its steps",
    ),
    "fine_tuning_share": unit_interval(
        "share of the epochs kept for phase 2, which begins earlier if phase 1 stops early",
        low_exclusive=True,
        active_when=_UNFROZEN,
    ),
}

HYPERPARAMETERS: Final[dict[str, Hyperparameter]] = {
    **_FEATURES,
    **_LAYERS,
    **_REGULARIZATION,
    **_OPTIMIZATION,
    **_PHASE_2,
}


def named(values: Mapping[str, _WrittenT]) -> dict[str, _WrittenT]:
    """Returns hyperparameters as trials have them: a list of cuts by its name.

    A list that is none of cuts is left as it is, for `Hyperparameter.problem` to refuse.

    Args:
        values: What is written in `params.yaml` by hyperparameter: values or, in a space,
            distributions.
    """
    return {name: _named(written) if _is_cut(name) else written for name, written in values.items()}


def _is_cut(name: str) -> bool:
    return name in HYPERPARAMETERS and HYPERPARAMETERS[name].kind == "name"


def _named(written: Any) -> Any:
    if isinstance(written, dict) and isinstance(written.get("choices"), list):
        return {**written, "choices": [cut_name(choice) for choice in written["choices"]]}
    return cut_name(written)


def described(values: Mapping[str, object]) -> str:
    """Returns hyperparameters as `name=value, name=value`, numbers with four digits."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )
