"""Networks as people build them, with whatever a copy of their layers could lose.

Each function of `MADE` takes the height and width of RGB images in [0, 255] and returns a model of
them; the same weights at every size.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

CHANNELS = 6


def _colours(size):
    """A batch of images to adapt layers to, with three colours that differ."""
    noise = np.random.default_rng(size).uniform(0, 80, (8, size, size, 3))
    return (noise + np.float32([20, 90, 160])).astype(np.float32)


def shaken(model):
    """Returns the model with statistics, scales and shifts that are none of the initial ones."""
    import keras

    rng = np.random.default_rng(3)
    for variable in model.variables:
        if variable.name in {"gamma", "moving_variance"}:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif variable.name in {"beta", "bias", "moving_mean"}:
            variable.assign(rng.normal(0, 0.3, variable.shape))
    for layer in model.layers:
        is_adaptable = isinstance(layer, keras.layers.Normalization) and layer.input_mean is None
        if is_adaptable and not np.any(layer.adapt_mean):
            layer.adapt_mean.assign(rng.uniform(0.3, 0.6, layer.adapt_mean.shape))
            layer.adapt_variance.assign(rng.uniform(0.03, 0.08, layer.adapt_mean.shape))
            layer.finalize_state()
    return model


def _inputs(size):
    import keras

    return keras.Input((size, size, 3))


def _ended(inputs, x):
    import keras
    from keras import layers

    x = layers.Conv2D(CHANNELS, 3, strides=2)(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return shaken(keras.Model(inputs, layers.Dense(4, dtype="float32")(x)))


def adapted_normalization(size):
    from keras import layers

    inputs = _inputs(size)
    normalization = layers.Normalization()
    normalization.adapt(_colours(32))
    return _ended(inputs, normalization(inputs))


def normalization_of_all_pixels(size):
    from keras import layers

    inputs = _inputs(size)
    normalization = layers.Normalization(axis=None, invert=False)
    normalization.adapt(_colours(32))
    given = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
    return _ended(inputs, given(normalization(inputs)))


def adapted_discretization(size):
    from keras import layers

    inputs = _inputs(size)
    bins = layers.Discretization(num_bins=5)
    bins.adapt(_colours(32))
    x = layers.Rescaling(0.5)(bins(inputs))
    return _ended(inputs, x)


def lookup_of_adapted_bins(size):
    """Gray levels that a table numbers anew, and a vector for each."""
    from keras import layers

    inputs = _inputs(size)
    bins = layers.Discretization(bin_boundaries=[50.0, 100.0, 150.0, 200.0])(inputs)
    table = layers.IntegerLookup(max_tokens=4, num_oov_indices=1)
    table.adapt(np.array([4, 4, 4, 2, 2, 0]))
    x = layers.Embedding(5, 4)(table(bins))
    return _ended(inputs, layers.Reshape((size, size, 12))(x))


def shared_layer(size):
    from keras import layers

    inputs = _inputs(size)
    shared = layers.Conv2D(3, 3, padding="same", activation="relu")
    norm = layers.BatchNormalization()
    first = norm(shared(layers.Rescaling(1 / 255)(inputs)))
    return _ended(inputs, layers.Add()([first, norm(shared(first))]))


def nested_called_twice(size):
    import keras
    from keras import layers

    normalization = layers.Normalization()
    normalization.adapt(_colours(32))
    start = keras.Input((size, size, 3))
    x = layers.Conv2D(3, 1)(normalization(start))
    twice = keras.Model(start, layers.BatchNormalization()(x), name="twice")
    inputs = _inputs(size)
    x = twice(inputs)
    return _ended(inputs, layers.Concatenate()([x, twice(x)]))


def nested_in_nested(size):
    """Sequential in functional in functional, a normalization in the innermost."""
    import keras
    from keras import layers

    normalization = layers.Normalization()
    normalization.adapt(_colours(32))
    innermost = keras.Sequential([normalization, layers.Conv2D(4, 3), layers.BatchNormalization()])
    start = keras.Input((size, size, 3))
    middle = keras.Model(start, layers.ReLU()(innermost(start)))
    inputs = _inputs(size)
    return _ended(inputs, layers.Dropout(0.5)(middle(inputs, training=False)))


def mixed_precision(size):
    from keras import layers

    inputs = _inputs(size)
    normalization = layers.Normalization(dtype="mixed_float16")
    normalization.adapt(_colours(32))
    x = layers.Conv2D(8, 3, dtype="mixed_float16")(normalization(inputs))
    x = layers.BatchNormalization(dtype="mixed_float16")(x)
    return _ended(inputs, layers.LeakyReLU(dtype="mixed_float16")(x))


def nested_of_another_precision(size):
    """The model inside takes float32, whatever the layer before it gives."""
    import keras
    from keras import layers

    start = keras.Input((size, size, 8))
    inner = keras.Model(start, keras.ops.exp(-keras.ops.abs(start)) * 3)
    inputs = _inputs(size)
    x = layers.Conv2D(8, 3, padding="same", dtype="mixed_float16")(layers.Rescaling(0.01)(inputs))
    return _ended(inputs, inner(x))


def operations(size):
    from keras import layers, ops

    inputs = _inputs(size)
    x = layers.Conv2D(3, 3, padding="same")(inputs / 255.0)
    x = ops.relu(x) * 2 + inputs / 100
    means = ops.mean(x, axis=(1, 2), keepdims=True)
    x = ops.concatenate([x - means, ops.sqrt(ops.square(x) + 1)], axis=-1)
    return _ended(inputs, ops.maximum(x, 0.25))


def spectral_normalization(size):
    from keras import layers

    inputs = _inputs(size)
    x = layers.Rescaling(1 / 255)(inputs)
    wrapped = layers.SpectralNormalization(layers.Conv2D(8, 3), power_iterations=2)
    x = wrapped(x)
    wrapped(np.ones((1, size, size, 3), np.float32), training=True)
    return _ended(inputs, x)


def time_distributed(size):
    """The rows of an image as a sequence, read in both directions."""
    import keras
    from keras import layers

    inputs = _inputs(size)
    normalization = layers.Normalization()
    normalization.adapt(_colours(32)[:, 0])
    row = keras.Sequential([keras.Input((size, 3)), normalization, layers.Conv1D(5, 3)])
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(layers.TimeDistributed(row)(inputs)))
    both = layers.Bidirectional(layers.LSTM(4))(layers.Reshape((2, 2))(x))
    return shaken(keras.Model(inputs, layers.Dense(4)(both)))


def attention(size):
    from keras import layers

    inputs = _inputs(size)
    x = layers.Conv2D(8, 4, strides=4)(layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    places = (size - 4) // 4 + 1
    x = layers.LayerNormalization()(layers.Reshape((places * places, 8))(x))
    x = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    return _ended(inputs, layers.Reshape((places, places, 8))(x))


def group_and_unit_normalization(size):
    from keras import layers

    inputs = _inputs(size)
    x = layers.GroupNormalization(2)(layers.Conv2D(8, 3)(layers.Rescaling(1 / 255)(inputs)))
    x = layers.PReLU(shared_axes=[1, 2])(layers.UnitNormalization()(x))
    return _ended(inputs, layers.RMSNormalization()(x))


def resizing_inside(size):
    from keras import layers

    inputs = _inputs(size)
    x = layers.CenterCrop(size - 2, size - 2)(layers.Resizing(size + 3, size + 3)(inputs))
    x = layers.RandomFlip()(layers.RandomCrop(size - 4, size - 4)(x))
    return _ended(inputs, layers.SeparableConv2D(5, 3)(layers.Rescaling(1 / 255)(x)))


def quantized(size):
    from keras import layers

    inputs = _inputs(size)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(inputs))
    dense, last = layers.Dense(16), layers.Dense(4)
    import keras

    model = shaken(keras.Model(inputs, last(layers.BatchNormalization()(dense(x)))))
    dense.quantize("int8")
    return model


def random_layers(size):
    """Augmentation, noise and dropout in front and between, each with a random state."""
    import keras
    from keras import layers

    augment = keras.Sequential([layers.RandomRotation(0.1), layers.RandomContrast(0.2)])
    inputs = _inputs(size)
    x = layers.GaussianNoise(0.1)(layers.Rescaling(1 / 255)(augment(inputs)))
    x = layers.SpatialDropout2D(0.2)(layers.RandomErasing(1.0, seed=1)(x))
    return _ended(inputs, layers.Conv2DTranspose(4, 3, strides=2)(x))


MADE: dict[str, Callable[[int], Any]] = {
    made.__name__: made
    for made in (
        adapted_normalization,
        normalization_of_all_pixels,
        adapted_discretization,
        lookup_of_adapted_bins,
        shared_layer,
        nested_called_twice,
        nested_in_nested,
        mixed_precision,
        nested_of_another_precision,
        operations,
        spectral_normalization,
        time_distributed,
        attention,
        group_and_unit_normalization,
        resizing_inside,
        quantized,
        random_layers,
    )
}
