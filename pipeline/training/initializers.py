"""Initial weights of dense layers: three families, two distributions, two fans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import ConfigError
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
FANS: Final = ("auto", "fan_in", "fan_avg")


def initializer(
    family: str, *, activation: str, distribution: str, fan: str, seed: int
) -> keras.initializers.Initializer:
    """Returns the initializer of a layer's weights, with variance scale / fan.

    Args:
        family: A key of `FAMILIES`, or `auto`: what suits the activation.
        activation: Of the layer, as in `training.activations`; `softmax` for the output layer.
        distribution: `normal` or `uniform`.
        fan: `fan_in`, `fan_avg`, or `auto`: the one of the family's own paper.
        seed: In [0, 2**31).

    Raises:
        ConfigError: If a name is unknown.
    """
    import keras

    if family == "auto":
        family = initializer_family(activation)
    _check("initializer", family, ["auto", *FAMILIES])
    _check("initializer_distribution", distribution, list(DISTRIBUTIONS))
    _check("initializer_fan", fan, list(FANS))
    scale, own_fan = FAMILIES[family]
    return keras.initializers.VarianceScaling(
        scale=scale,
        mode=own_fan if fan == "auto" else fan,
        distribution=DISTRIBUTIONS[distribution],
        seed=seed,
    )


def _check(kind: str, name: str, choices: list[str]) -> None:
    if name not in choices:
        raise ConfigError(unknown_name(kind, name, choices))
