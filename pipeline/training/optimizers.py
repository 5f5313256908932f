"""Optimizers: from a trial's hyperparameters to a Keras optimizer with its gradient clipping.

To add one, write a function below and register it with its own hyperparameters. Nothing here
imports Keras before an optimizer is built.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.hyperparameter import Value, choice, non_negative, positive, unit_interval, where
from pipeline.registry import Registry

if TYPE_CHECKING:
    import keras

Settings = Mapping[str, Value]
OptimizerBuilder = Callable[..., "keras.optimizers.Optimizer"]

OPTIMIZERS: Registry[OptimizerBuilder] = Registry("optimizer")

MOMENTUM: Final = {"momentum": unit_interval("share of the last update that is kept")}
BETAS: Final = {
    "beta_1": unit_interval("decay of the gradients"),
    "beta_2": unit_interval("decay of the squared gradients"),
}

# Keras' own names of the arguments, of which it accepts only one at a time.
CLIPPINGS: Final = ("clipvalue", "clipnorm", "global_clipnorm")
CLIPPING: Final = {
    "clipping": choice(
        "none",
        *CLIPPINGS,
        help="of the gradient: each component, each variable's norm, or the whole vector's norm",
    ),
    "clipping_threshold": positive(
        "largest component or norm that passes unchanged", active_when=where(clipping=CLIPPINGS)
    ),
}


@OPTIMIZERS.register("sgd")
def sgd(_: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Gradient descent: w <- w - lr g."""
    import keras

    return keras.optimizers.SGD(**shared)


@OPTIMIZERS.register("momentum", parameters=MOMENTUM)
def momentum(settings: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Heavy ball: m <- beta m - lr g; w <- w + m.

    Reference: Polyak 1964, Some methods of speeding up the convergence of iteration methods.
    """
    import keras

    # Keras refuses a whole number.
    return keras.optimizers.SGD(momentum=float(settings["momentum"]), **shared)


@OPTIMIZERS.register("nesterov", parameters=MOMENTUM)
def nesterov(settings: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Momentum with the gradient measured slightly ahead: w <- w + beta m - lr g.

    Reference: Nesterov 1983, in the form of Sutskever et al. 2013, On the importance of
    initialization and momentum in deep learning.
    """
    import keras

    return keras.optimizers.SGD(momentum=float(settings["momentum"]), nesterov=True, **shared)


@OPTIMIZERS.register("adagrad")
def adagrad(_: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Scales down the steep dimensions: s <- s + g^2; w <- w - lr g / sqrt(s + eps).

    In Keras s begins at 0.1. Reference: Duchi et al. 2011, Adaptive subgradient methods.
    """
    import keras

    return keras.optimizers.Adagrad(**shared)


@OPTIMIZERS.register("rmsprop", parameters={"rho": unit_interval("decay of the squared gradients")})
def rmsprop(settings: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Adagrad that forgets: s <- rho s + (1 - rho) g^2; w <- w - lr g / sqrt(s + eps).

    Reference: Tieleman and Hinton 2012, Coursera lecture 6.5.
    """
    import keras

    return keras.optimizers.RMSprop(rho=settings["rho"], **shared)


@OPTIMIZERS.register("adam", parameters=BETAS)
def adam(settings: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Momentum and RMSProp with bias correction.

    Reference: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1; eps is Keras' 1e-7, not 1e-8.
    """
    from pipeline.training.adam import Adam

    return Adam(**_betas(settings), **shared)


@OPTIMIZERS.register(
    "adamw",
    parameters={
        **BETAS,
        "weight_decay": non_negative("decoupled, times the learning rate", high=1),
    },
)
def adamw(settings: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Adam whose weight decay bypasses the moments: w <- w - lr (adam + weight_decay w).

    Every trainable variable decays, biases too, as in Keras.

    Reference: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2; the decay is multiplied
    by the learning rate here, which the paper keeps apart.
    """
    from pipeline.training.adam import AdamW

    return AdamW(weight_decay=settings["weight_decay"], **_betas(settings), **shared)


@OPTIMIZERS.register("nadam", parameters=BETAS)
def nadam(settings: Settings, **shared: Any) -> "keras.optimizers.Optimizer":
    """Adam with Nesterov's look ahead.

    Reference: Dozat 2016, Incorporating Nesterov momentum into Adam; the share of the momentum at
    step t is beta_1 (1 - 0.96^t / 2), as Keras has it.
    """
    import keras

    return keras.optimizers.Nadam(**_betas(settings), **shared)


def build_optimizer(
    hyperparameters: Settings,
    *,
    learning_rate: "float | keras.optimizers.schedules.LearningRateSchedule",
) -> "keras.optimizers.Optimizer":
    """Returns the trial's optimizer, which clips gradients if the trial says so.

    Args:
        hyperparameters: `optimizer`, `clipping`, and those that are active beside them.
        learning_rate: A number > 0, which can be assigned later, or a function of the step.

    Raises:
        ConfigError: If the optimizer is unknown.
    """
    builder = OPTIMIZERS.get(str(hyperparameters["optimizer"]))
    return builder(hyperparameters, learning_rate=learning_rate, **_clipping(hyperparameters))


def _betas(settings: Settings) -> dict[str, Value]:
    return {"beta_1": settings["beta_1"], "beta_2": settings["beta_2"]}


def _clipping(settings: Settings) -> dict[str, Value]:
    kind = str(settings["clipping"])
    return {} if kind == "none" else {kind: settings["clipping_threshold"]}
