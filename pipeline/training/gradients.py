"""What tells how well a network trains: gradients, updates, clipping and idle units, by layer.

Gradients and clipping are measured on the training's own steps, inside what is compiled for it: a
backward pass beside it would have to be traced anew for each network, which takes as long as some
cheap trainings do. Updates are measured at the first step of each epoch, idle units on one fixed
batch of training images after it. Nothing here changes a weight or draws a number.

"Layers" are the trained kernels (of dense and convolutional layers) from the features to the
probabilities; "hidden layers" are those of the head.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.training.batches import Indices, TrainingData
from pipeline.training.messages import EpochHealth

# At least so many steps of an epoch are looked at for what clipping by value leaves.
CLIPPED_STEPS: Final = 8
# A unit that is active for 1 in 20 images is taken for a dead one with probability 0.95^128 = 0.1%.
PROBE_ROWS: Final = 128
# A unit does not learn from an image on which its slope is below a hundredth of its largest one.
FLAT_SLOPE: Final = 0.01
# A unit is saturated if it is flat on that share of the images; the rest cannot move it far.
SATURATED_ON: Final = 0.95
# Below this output relu and the smooth relus are flat: exactly, or with a slope under FLAT_SLOPE.
SMALLEST_OUTPUT: Final = 1e-3
# JSON has neither infinity nor NaN: what overflows is this.
LARGEST: Final = 1e30

_SELU_FLOOR: Final = -1.0507009873554805 * 1.6732632423543772
_HIDDEN_ACTIVATION: Final = re.compile(r"hidden_\d+_activation")

# Functions or layers of Keras. Units of the first can die: they put out nothing any more.
DYING: Final = ("ReLU", "silu", "gelu", "softplus")
# Those of the second put out what they always do; with which outputs are flat.
SATURATING: Final[dict[str, Callable[[tf.Tensor], tf.Tensor]]] = {
    # Slope s (1 - s), 1/4 at most.
    "sigmoid": lambda outputs: outputs * (1.0 - outputs) < FLAT_SLOPE / 4,
    # Slope 1 - t^2, 1 at most.
    "tanh": lambda outputs: 1.0 - outputs**2 < FLAT_SLOPE,
    # Slope f + 1 below 0, and 1 above.
    "ELU": lambda outputs: outputs < -1.0 + FLAT_SLOPE,
    # Slope f - floor below 0, and 1.05 above.
    "selu": lambda outputs: outputs < _SELU_FLOOR * (1.0 - FLAT_SLOPE),
}
# The third pass a part of every gradient.
NEVER_FLAT: Final = ("LeakyReLU", "PReLU", "RandomizedLeakyReLU")


class StepGauge:
    """Measures gradients and clipping inside a compiled gradient step.

    Args:
        model: What is trained.
        optimizer: Of Keras, built; its `clipvalue`, `clipnorm` or `global_clipnorm` is read.

    Attributes:
        size: How many figures `measured` gives.
    """

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self._optimizer = optimizer
        self.size = 3 + len(model.trainable_variables)

    def measured(
        self, gradients: Sequence[tf.Tensor], is_measured: tf.Tensor, is_clipping: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the whole gradient's Euclidean norm, and figures to be summed over an epoch.

        Args:
            gradients: Of all trained variables, before they are clipped.
            is_measured: Whether to; otherwise all that is returned is 0.
            is_clipping: Whether to look at clipping, too, where that takes passes over the gradient
                of its own: where it is by value.

        Returns:
            A scalar; and whether clipping was looked at, whether the step is clipped, the norm
            after clipping over that before, and half the squared norm of each variable's gradient:
            shape (3 + variables,).
        """

        def measure() -> tf.Tensor:
            # As `tf.linalg.global_norm` computes it, to the last bit: a rule may stop by it. What
            # it adds up tells the layers apart, so that hardly an operation more is needed.
            halves = tf.stack([tf.nn.l2_loss(gradient) for gradient in gradients])
            norm = tf.sqrt(tf.reduce_sum(halves) * 2.0)
            clipping = self._clipping(gradients, halves, norm, is_clipping)
            return tf.concat([[norm], clipping, halves], axis=0)

        found = tf.cond(is_measured, measure, lambda: tf.zeros(1 + self.size))
        return found[0], found[1:]

    def _clipping(
        self,
        gradients: Sequence[tf.Tensor],
        halves: tf.Tensor,
        norm: tf.Tensor,
        is_clipping: tf.Tensor,
    ) -> tf.Tensor:
        if self._optimizer.global_clipnorm is not None:
            return _clipped(tf.minimum(norm, self._optimizer.global_clipnorm), norm)
        if self._optimizer.clipnorm is not None:
            return _clipped(
                tf.norm(tf.minimum(tf.sqrt(2.0 * halves), self._optimizer.clipnorm)), norm
            )
        value = self._optimizer.clipvalue
        if value is None:
            return tf.constant([1.0, 0.0, 1.0])

        def measure() -> tf.Tensor:
            # As one vector: a third of the operations, each of which costs time to trace.
            whole = tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)
            return _clipped(tf.norm(tf.clip_by_value(whole, -value, value)), norm)

        return tf.cond(is_clipping, measure, lambda: tf.zeros(3))


def _clipped(kept: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
    share = tf.where(norm > 0.0, tf.minimum(kept / norm, 1.0), 1.0)
    # Both norms are rounded: one that passed unchanged may come out a little smaller.
    return tf.stack([1.0, tf.cast(share < 1.0 - 1e-5, tf.float32), share])


def kernels(model: keras.Model) -> list[NDArray[np.float32]]:
    """Returns copies of the trained kernels, from the features to the probabilities."""
    return [each.numpy() for each in model.trainable_variables if len(each.shape) > 1]


def update_ratios(
    before: Sequence[NDArray[np.float32]], after: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Returns |change| / |weights before| by kernel; 0 for one of zeros."""
    changes = [_norm(new - old) for old, new in zip(before, after, strict=True)]
    norms = [_norm(old) for old in before]
    return np.array([c / norm if norm else 0.0 for c, norm in zip(changes, norms, strict=True)])


def epoch_health(
    sums: NDArray[np.float64],
    *,
    num_measured: float,
    model: keras.Model,
    updates: NDArray[np.float64],
    idle: NDArray[np.float32],
) -> EpochHealth:
    """Returns the figures of an epoch, to three digits, of which all are finite.

    Args:
        sums: Of the figures that a `StepGauge` gave, over the epoch.
        num_measured: Of how many steps, >= 1.
        model: What it measured.
        updates: From `update_ratios`.
        idle: From `idle_shares`.
    """
    clipped, kept = _rounded(sums[1:3] / sums[0])
    is_kernel = [len(each.shape) > 1 for each in model.trainable_variables]
    return EpochHealth(
        gradient_norms=_rounded(np.sqrt(2.0 * sums[3:][is_kernel] / num_measured)),
        update_ratios=_rounded(updates),
        dead=_rounded(idle[0]),
        saturated=_rounded(idle[1]),
        clipped=clipped,
        kept=kept,
    )


def hidden_activations(network: keras.Model) -> list[keras.layers.Layer]:
    """Returns the activation layers of a head's hidden layers, from the lowest on."""
    return [layer for layer in network.layers if _HIDDEN_ACTIVATION.fullmatch(layer.name)]


def idle_shares(layers: Sequence[keras.layers.Layer], outputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the share of dead and of saturated units by layer: shape (2, layers).

    Args:
        layers: Of activations, as from `hidden_activations`.
        outputs: What each gives for a batch: shape (rows, units).
    """
    shares = [
        _idle(activation_name(layer), out) for layer, out in zip(layers, outputs, strict=True)
    ]
    return tf.transpose(tf.stack(shares)) if shares else tf.zeros((2, 0))


def activation_name(layer: keras.layers.Layer) -> str:
    """Returns what a layer computes: the name of its function, or else of its class."""
    function = getattr(layer, "activation", None)
    return type(layer).__name__ if function is None else str(function.__name__)


def probe_rows(data: TrainingData) -> Indices:
    """Returns the rows of the fixed batch: images to train on, evenly spread over all of them."""
    rows = data.train[data.is_image]
    places = np.linspace(0, len(rows) - 1, min(len(rows), PROBE_ROWS)).astype(np.int64)
    spread: Indices = rows[places]
    return spread


def _idle(activation: str, outputs: tf.Tensor) -> tf.Tensor:
    if activation in DYING:
        is_dead = tf.reduce_max(tf.abs(outputs), axis=0) < SMALLEST_OUTPUT
        return tf.stack([tf.reduce_mean(tf.cast(is_dead, tf.float32)), 0.0])
    if activation in NEVER_FLAT:
        return tf.zeros(2)
    flat_on = tf.reduce_mean(tf.cast(SATURATING[activation](outputs), tf.float32), axis=0)
    return tf.stack([0.0, tf.reduce_mean(tf.cast(flat_on >= SATURATED_ON, tf.float32))])


def _norm(values: NDArray[np.float32]) -> float:
    flat = values.ravel()
    with np.errstate(over="ignore"):  # Of weights that have left all bounds.
        return float(np.sqrt(np.dot(flat, flat)))


def _rounded(values: NDArray[Any]) -> list[float]:
    finite = np.nan_to_num(values, nan=LARGEST, posinf=LARGEST, neginf=-LARGEST)
    return [float(f"{value:.3g}") for value in finite]
