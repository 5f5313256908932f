"""Initial weights of dense layers: three families, two distributions, two fans.

And two kinds that do not know a layer's size, to be seen failing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pipeline.hyperparameter import Hyperparameter, choice, positive, where
from pipeline.training.activations import INITIALIZER_FAMILIES

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
# Of a given deviation, or none at all: units that begin equal stay equal.
UNSCALED: Final = ("normal", "zeros")
FANS: Final = ("auto", "fan_in", "fan_avg")
# Keras' own he_normal and its kin are truncated at two standard deviations, and rescaled for it.
DISTRIBUTIONS: Final = {"normal": "truncated_normal", "uniform": "uniform"}
# In the order in which trials are asked for them.
PARAMETERS: Final[dict[str, Hyperparameter]] = {
    "initializer": choice(
        *("auto", *FAMILIES, *UNSCALED),
        help="of the hidden layers; auto follows the activation; normal has one deviation whatever "
        "a layer's size, zeros none: both for demonstrations",
        demonstrated=("zeros",),
    ),
    "initializer_distribution": choice(*DISTRIBUTIONS, help="of the initial weights"),
    "initializer_fan": choice(
        *FANS,
        help="what the variance is divided by; auto: fan_avg for glorot, fan_in for he and lecun",
    ),
    # Last, so that what earlier studies drew stays as it was.
    "initializer_scale": positive(
        "standard deviation of the initial weights, where initializer is normal",
        high=100,
        active_when=where(initializer="normal"),
    ),
}


def initializer(
    family: str, *, activation: str, distribution: str, fan: str, scale: float, seed: int
) -> keras.initializers.Initializer:
    """Returns the initializer of a layer's weights.

    Args:
        family: A key of `FAMILIES`, whose variance is its scale / fan; `auto`: the one that suits
            the activation; or one of `UNSCALED`.
        activation: A key of `training.activations.ACTIVATIONS`.
        distribution: A key of `DISTRIBUTIONS`: `normal` or `uniform`.
        fan: What the variance is divided by: `fan_in`, `fan_avg`, or `auto`, which is that of the
            family's own paper.
        scale: Standard deviation of the family `normal`, > 0.
        seed: What the weights are drawn from, in [0, 2**31): the same gives the same.
    """
    import keras

    if family == "zeros":
        return keras.initializers.Zeros()
    if family == "normal":
        return keras.initializers.RandomNormal(stddev=scale, seed=seed)
    if family == "auto":
        family = INITIALIZER_FAMILIES[activation]
    variance, own_fan = FAMILIES[family]
    return keras.initializers.VarianceScaling(
        scale=variance,
        mode=own_fan if fan == "auto" else fan,
        distribution=DISTRIBUTIONS[distribution],
        seed=seed,
    )
