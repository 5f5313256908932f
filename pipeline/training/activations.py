"""Activation functions of the hidden layers, by name.

Each entry builds the layer from `Settings`; Keras is imported only then, since the table of
hyperparameters asks for names and declarations alone. To add one, write a function below, register
it with its own hyperparameters, and name its initializer family in `INITIALIZER_FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pipeline.hyperparameter import Hyperparameters, unit_interval
from pipeline.registry import Registry

if TYPE_CHECKING:
    import keras

Family = Literal["glorot", "he", "lecun"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a layer is built from.

    Attributes:
        hyperparameters: The trial's; the activation's own, such as `negative_slope`, are among
            them.
        name: What the layer is called; None: Keras makes up a name.
        seed: Root of what the layer draws while it is trained (the slopes of `rrelu`), in
            [0, 2**31).
    """

    hyperparameters: Hyperparameters = field(default_factory=dict)
    name: str | None = None
    seed: int = 0


ACTIVATIONS: Registry[Callable[[Settings], keras.layers.Layer]] = Registry("activation")

INITIALIZER_FAMILIES: Final[dict[str, Family]] = {
    # He et al. 2015 derive it for units that pass one half of their input: relu and its leaky kin.
    # The 1 + slope^2 of their eq. 15 is left out as Keras does: 4% of the variance at slope 0.2.
    "relu": "he",
    "leaky_relu": "he",
    "prelu": "he",
    "rrelu": "he",
    # Smooth relus, identity far above 0 and bounded below: he by Geron 2022, table 11-1, which does
    # not list softplus; it tends to relu on both sides (Glorot, Bordes and Bengio 2011).
    "elu": "he",
    "silu": "he",
    "gelu": "he",
    "softplus": "he",
    # Self-normalization is proved for variance 1 / fan_in: Klambauer et al. 2017.
    "selu": "lecun",
    # Near the identity around 0: Glorot and Bengio 2010.
    "tanh": "glorot",
    "sigmoid": "glorot",
}


@ACTIVATIONS.register("relu")
def relu(settings: Settings) -> keras.layers.Layer:
    """Rectified linear unit: f(x) = max(0, x).

    Reference: Nair and Hinton 2010, Rectified linear units improve restricted Boltzmann machines.
    """
    import keras

    return keras.layers.ReLU(name=settings.name)


@ACTIVATIONS.register(
    "leaky_relu",
    parameters={
        "negative_slope": unit_interval("slope of leaky_relu below 0; 0.2 is the 'huge leak'")
    },
)
def leaky_relu(settings: Settings) -> keras.layers.Layer:
    """Leaky relu: f(x) = max(slope x, x).

    The slope is always given: Keras' function has 0.2 and its layer 0.3, the lecture 0.01.

    Reference: Maas, Hannun and Ng 2013, Rectifier nonlinearities improve neural network acoustic
    models.
    """
    import keras

    slope = float(settings.hyperparameters["negative_slope"])
    return keras.layers.LeakyReLU(negative_slope=slope, name=settings.name)


@ACTIVATIONS.register("prelu")
def prelu(settings: Settings) -> keras.layers.Layer:
    """Parametric relu: f(x) = max(0, x) + a min(0, x), with one learned a per unit.

    a starts at 0.25 as in the paper; Keras' own start is 0.

    Reference: He et al. 2015, Delving deep into rectifiers, arXiv:1502.01852, eq. 1.
    """
    import keras

    start = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(alpha_initializer=start, name=settings.name)


@ACTIVATIONS.register("rrelu")
def rrelu(settings: Settings) -> keras.layers.Layer:
    """Randomized leaky relu: f(x) = max(0, x) + a min(0, x), a ~ U(1/8, 1/3) in training.

    Otherwise a is its mean, 11/48; `training.export.for_inference` turns the layer into a leaky
    relu of that slope. The paper draws 1/a from U(3, 8); drawing a itself over the same interval is
    PyTorch's form.

    Reference: Xu et al. 2015, Empirical evaluation of rectified activations in convolutional
    network, arXiv:1505.00853, section 2.4.
    """
    from pipeline.training.rrelu import RandomizedLeakyReLU

    return RandomizedLeakyReLU(seed=settings.seed, name=settings.name)


@ACTIVATIONS.register("elu")
def elu(settings: Settings) -> keras.layers.Layer:
    """Exponential linear unit: f(x) = x above 0, exp(x) - 1 below (alpha = 1).

    Reference: Clevert, Unterthiner and Hochreiter 2015, arXiv:1511.07289, eq. 15.
    """
    import keras

    return keras.layers.ELU(alpha=1.0, name=settings.name)


@ACTIVATIONS.register("selu")
def selu(settings: Settings) -> keras.layers.Layer:
    """Scaled elu: f(x) = 1.0507 x above 0, 1.0507 * 1.6733 (exp(x) - 1) below.

    Self-normalizing with lecun initial weights and standardized inputs.

    Reference: Klambauer et al. 2017, Self-normalizing neural networks, arXiv:1706.02515, eq. 2.
    """
    return _keras_activation("selu", settings)


@ACTIVATIONS.register("silu")
def silu(settings: Settings) -> keras.layers.Layer:
    """Sigmoid-weighted linear unit, also called swish: f(x) = x / (1 + exp(-x)).

    Reference: Elfwing, Uchibe and Doya 2017, arXiv:1702.03118; Ramachandran, Zoph and Le 2017,
    arXiv:1710.05941, with beta = 1.
    """
    return _keras_activation("silu", settings)


@ACTIVATIONS.register("softplus")
def softplus(settings: Settings) -> keras.layers.Layer:
    """Smooth relu: f(x) = log(1 + exp(x)).

    Reference: Dugas et al. 2001, Incorporating second-order functional knowledge for better option
    pricing.
    """
    return _keras_activation("softplus", settings)


@ACTIVATIONS.register("tanh")
def tanh(settings: Settings) -> keras.layers.Layer:
    """Hyperbolic tangent: f(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Reference: LeCun et al. 1998, Efficient backprop, section 4.4.
    """
    return _keras_activation("tanh", settings)


@ACTIVATIONS.register("sigmoid")
def sigmoid(settings: Settings) -> keras.layers.Layer:
    """Logistic function: f(x) = 1 / (1 + exp(-x)).

    Reference: Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating
    errors.
    """
    return _keras_activation("sigmoid", settings)


@ACTIVATIONS.register("gelu")
def gelu(settings: Settings) -> keras.layers.Layer:
    """Gaussian error linear unit: f(x) = x (1 + erf(x / sqrt(2))) / 2.

    The exact form, not the tanh approximation.

    Reference: Hendrycks and Gimpel 2016, arXiv:1606.08415.
    """
    return _keras_activation("gelu", settings)


def _keras_activation(function: str, settings: Settings) -> keras.layers.Layer:
    import keras

    return keras.layers.Activation(function, name=settings.name)
