"""Initial weights of dense layers: three families, two distributions, two fans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import ConfigError
from pipeline.hyperparameter import Hyperparameter, choice
from pipeline.registry import unknown_name
from pipeline.training.activations import initializer_family

if TYPE_CHECKING:
    import keras

Fan = Literal["fan_in", "fan_avg"]

# Variance = scale / fan. Glorot and Bengio 2010, AISTATS, eq. 16 (fan_avg is theirs); He et al.
# 2015, arXiv:1502.01852, eq. 10; LeCun et al. 1998, Efficient backprop, eq. 16.
FAMILIES: Final[dict[str, tuple[float, Fan]]] = {
    "glorot": (1.0, "fan_avg"),
    "he": (2.0, "fan_in"),
    "lecun": (1.0, "fan_in"),
}
# Keras' own he_normal and its kin are truncated at two standard deviations, and rescaled for it.
DISTRIBUTIONS: Final = {"normal": "truncated_normal", "uniform": "uniform"}
# In the order in which trials are asked for them.
PARAMETERS: Final[dict[str, Hyperparameter]] = {
    "initializer": choice(
        "auto", *FAMILIES, help="of the hidden layers; auto follows the activation"
    ),
    "initializer_distribution": choice(*DISTRIBUTIONS, help="of the initial weights"),
    "initializer_fan": choice(
        "auto",
        "fan_in",
        "fan_avg",
        help="what the variance is divided by; auto: fan_avg for glorot, fan_in for he and lecun",
    ),
}


def initializer(
    family: str, *, activation: str, distribution: str, fan: str, seed: int
) -> keras.initializers.Initializer:
    """Returns the initializer of a layer's weights, with variance scale / fan.

    Args:
        family: A key of `FAMILIES`, or `auto`: what suits the activation.
        activation: What the layer's activation is called, as in `training.activations`; `softmax`
            for the output layer.
        distribution: A key of `DISTRIBUTIONS`: `normal` or `uniform`.
        fan: What the variance is divided by: `fan_in`, `fan_avg`, or `auto`, which is that of the
            family's own paper.
        seed: What the weights are drawn from, in [0, 2**31): the same gives the same.

    Raises:
        ConfigError: If `family`, `distribution` or `fan` is unknown.
    """
    import keras

    given = (family, distribution, fan)
    for (name, spec), value in zip(PARAMETERS.items(), given, strict=True):
        if value not in spec.choices:
            raise ConfigError(unknown_name(name, value, [str(word) for word in spec.choices]))
    if family == "auto":
        family = initializer_family(activation)
    scale, own_fan = FAMILIES[family]
    return keras.initializers.VarianceScaling(
        scale=scale,
        mode=own_fan if fan == "auto" else fan,
        distribution=DISTRIBUTIONS[distribution],
        seed=seed,
    )
