"""The network that a trial trains on top of a cut point: features to class probabilities."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InfeasibleTrialError
from pipeline.hyperparameter import Hyperparameters
from pipeline.seeds import derive_seed
from pipeline.training.activations import ACTIVATIONS, Settings
from pipeline.training.initializers import initializer

if TYPE_CHECKING:
    import keras

# Of the mean variance over the channels. A channel that is almost always 0 in training would turn
# its rare other values into huge ones; none is amplified more than 100 times the typical.
SMALLEST_VARIANCE: Final = 1e-4


def build_head(
    feature_shape: tuple[int, ...],
    num_classes: int,
    hyperparameters: Hyperparameters,
    *,
    mean: Sequence[float],
    variance: Sequence[float],
    seed: int,
    part_sizes: Sequence[int] = (),
) -> "keras.Model":
    """Returns an untrained head: scaling, pooling, hidden layers, softmax.

    With no hidden layer it is logistic regression. Scaling has no trainable weights and follows
    the training part's statistics.

    Args:
        feature_shape: Shape of one image's features: (height, width, channels) or (features,).
        num_classes: Classes of the data set, >= 2: as many probabilities come out.
        hyperparameters: The trial's active ones; see `training.hyperparameters`.
        mean: Mean of each channel over the training part, one value per entry of the last axis.
        variance: Variance of each channel over the training part, >= 0, in the same order.
        seed: Root of the seeds of initial weights, dropout and random slopes, in [0, 2**31).
        part_sizes: How many of the channels each of several cuts gives, in order, >= 1 each; empty
            where they are of one cut. Each cut is standardized by itself.

    Returns:
        (n, *feature_shape) float32 to probabilities (n, num_classes) float32.

    Raises:
        InfeasibleTrialError: If batches of 1 are to be normalized over the batch.
    """
    import keras

    _check_batches(hyperparameters)
    builder = _HeadBuilder(hyperparameters, seed)
    inputs = keras.Input(feature_shape, name="features")
    x = builder.scale(inputs, mean, _floored(variance, part_sizes))
    x = builder.flatten(x)
    for index in range(builder.num_layers):
        x = builder.hidden_layer(x, index)
    return keras.Model(inputs, builder.classify(x, num_classes), name="head")


def _check_batches(hyperparameters: Hyperparameters) -> None:
    normalizes = (
        hyperparameters.get("normalization", "none") != "none" or hyperparameters["normalize_first"]
    )
    if hyperparameters.get("batch_size") == 1 and normalizes:
        raise InfeasibleTrialError(
            "Batch normalization needs batches of 2 or more: of one image it outputs zeros. "
            "Received: batch_size=1."
        )


class _HeadBuilder:
    """Makes layers as the hyperparameters say, each with a seed of its own."""

    def __init__(self, hyperparameters: Hyperparameters, seed: int) -> None:
        self._values = hyperparameters
        self._seed = seed
        self.num_layers = int(hyperparameters["num_layers"])

    def scale(self, x: Any, mean: Sequence[float], variance: NDArray[np.float64]) -> Any:
        from keras import layers

        scaling = self._values["feature_scaling"]
        if scaling == "unit":
            return layers.Rescaling(1 / 255, name="feature_scaling")(x)
        if scaling == "none":
            return x
        return layers.Normalization(
            axis=-1,
            mean=[float(value) for value in mean],
            variance=[float(value) for value in variance],
            name="feature_scaling",
        )(x)

    def flatten(self, x: Any) -> Any:
        """Pools maps, flattens, and applies what stands before the first hidden layer."""
        from keras import layers

        pooling = self._values["pooling"]
        if len(x.shape) == 4 and pooling == "global":
            x = layers.GlobalAveragePooling2D(name="pooling")(x)
        elif len(x.shape) == 4 and pooling == "average":
            # "same" averages what there is at an odd edge, and leaves a map of 1x1 as it is.
            x = layers.AveragePooling2D(2, padding="same", name="pooling")(x)
        x = layers.Flatten(name="flatten")(x)
        if self._values["normalize_first"]:
            x = self._batch_norm("input_normalization")(x)
        if self._values["dropout"] in ("input", "all"):
            x = self._dropout("input")(x)
        return x

    def hidden_layer(self, x: Any, index: int) -> Any:
        from keras import layers

        name = f"hidden_{index}"
        normalization = self._values["normalization"]
        x = layers.Dense(
            self._units(index),
            use_bias=normalization != "before",  # Batch normalization has a shift of its own.
            kernel_initializer=self._initializer(name),
            kernel_regularizer=self._regularizer(),
            name=name,
        )(x)
        if normalization == "before":
            x = self._batch_norm(f"{name}_normalization")(x)
        x = self._activation(name)(x)
        if normalization == "after":
            x = self._batch_norm(f"{name}_normalization")(x)
        return self._dropout(name)(x) if self._drops(index) else x

    def classify(self, x: Any, num_classes: int) -> Any:
        from keras import initializers, layers

        # Whatever the hidden layers have: the rule for softmax, and Keras' default.
        weights = initializers.GlorotUniform(seed=self._derive("probabilities", "kernel"))
        return layers.Dense(
            num_classes,
            activation="softmax",
            kernel_initializer=weights,
            kernel_regularizer=self._regularizer(),
            dtype="float32",
            name="probabilities",
        )(x)

    def _derive(self, layer: str, use: str) -> int:
        return derive_seed(self._seed, layer, use)

    def _units(self, index: int) -> int:
        same = self._values["units_shape"] == "same"
        return int(self._values["units" if same else f"units_{index}"])

    def _initializer(self, layer: str) -> "keras.initializers.Initializer":
        return initializer(
            str(self._values["initializer"]),
            activation=str(self._values["activation"]),
            distribution=str(self._values["initializer_distribution"]),
            fan=str(self._values["initializer_fan"]),
            scale=float(self._values.get("initializer_scale", 0.0)),
            seed=self._derive(layer, "kernel"),
        )

    def _activation(self, layer: str) -> "keras.layers.Layer":
        settings = Settings(
            hyperparameters=self._values,
            name=f"{layer}_activation",
            seed=self._derive(layer, "activation"),
        )
        return ACTIVATIONS.get(str(self._values["activation"]))(settings)

    def _regularizer(self) -> "keras.regularizers.Regularizer | None":
        import keras

        if self._values["regularizer"] == "none":
            return None
        # Both factors by name: Keras' l1_l2(0.01) sets only the first.
        return keras.regularizers.L1L2(
            l1=float(self._values.get("l1", 0.0)), l2=float(self._values.get("l2", 0.0))
        )

    def _drops(self, index: int) -> bool:
        where = self._values["dropout"]
        if where == "last":
            return index >= self.num_layers - int(self._values["dropout_layers"])
        return where == "all"

    def _dropout(self, layer: str) -> "keras.layers.Layer":
        from keras import layers

        # Alpha dropout keeps the zero mean and unit variance that selu normalizes to.
        kind = layers.AlphaDropout if self._values.get("activation") == "selu" else layers.Dropout
        return kind(
            float(self._values["dropout_rate"]),
            seed=self._derive(layer, "dropout"),
            name=f"{layer}_dropout",
        )

    def _batch_norm(self, name: str) -> "keras.layers.Layer":
        from keras import layers

        return layers.BatchNormalization(
            momentum=float(self._values["batch_norm_momentum"]),
            epsilon=float(self._values["batch_norm_epsilon"]),
            name=name,
        )


def _floored(variance: Sequence[float], part_sizes: Sequence[int]) -> NDArray[np.float64]:
    values = np.asarray(variance, dtype=np.float64)
    # A cut of small numbers beside one of large ones is not what a channel of nothing is.
    parts = np.split(values, [*itertools.accumulate(part_sizes)][:-1])
    return np.concatenate(
        [np.maximum(part, SMALLEST_VARIANCE * part.mean() or 1.0) for part in parts]
    )
