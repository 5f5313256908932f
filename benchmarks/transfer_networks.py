"""The networks that `benchmarks.transfer` trains from scratch, and training against a clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

# Of few images, where the default follows hundreds of batches.
BATCH_NORM_MOMENTUM = 0.9
BATCH_SIZE = 128


def convnet(image_shape: tuple[int, ...], num_classes: int, *, seed: int) -> keras.Model:
    """Returns a small convnet, float32 pixels in [0, 255] to probabilities.

    Three convolutions, each with batch normalization, relu and a pooling layer behind it, and one
    hidden layer: 0.36 million parameters for images of 32x32. Twice as many convolutions at the
    full resolution take 2.7 times as long an image, and on 2 cores the time is what is short.
    """
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    inputs = keras.Input(image_shape, name="features")
    x = layers.Rescaling(1 / 255)(inputs)
    for channels in (32, 64, 128):
        x = layers.MaxPooling2D()(_convolved(x, channels))
    x = layers.Dropout(0.4)(layers.Flatten()(x))
    x = layers.Dense(128, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dropout(0.4)(x)
    return keras.Model(inputs, layers.Dense(num_classes, activation="softmax")(x), name="convnet")


def residual_net(image_shape: tuple[int, ...], num_classes: int, *, seed: int) -> keras.Model:
    """Returns a small residual network, float32 pixels in [0, 255] to probabilities.

    0.8 million parameters. Its blocks' outputs are called `block1_pool` to `block4_pool`, and what
    its output layer sees `average`.
    """
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    inputs = keras.Input(image_shape, name="images")
    x = layers.Rescaling(1 / 255, name="unit")(inputs)
    for number, channels in enumerate((32, 64, 128, 192), start=1):
        x = _convolved(x, channels, name=f"block{number}")
        if number > 2:
            x = layers.Add(name=f"block{number}_add")([x, _convolved(x, channels)])
        x = layers.MaxPooling2D(name=f"block{number}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    outputs = layers.Dense(num_classes, activation="softmax", name="classes")(x)
    return keras.Model(inputs, outputs, name="residual_net")


def _convolved(x: Any, channels: int, *, name: str | None = None) -> Any:
    from keras import layers

    named = {part: name and f"{name}_{part}" for part in ("conv", "norm", "relu")}
    x = layers.Conv2D(
        channels,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=named["conv"],
    )(x)
    x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=named["norm"])(x)
    return layers.ReLU(name=named["relu"])(x)


NETWORKS = {"convnet": convnet, "residual_net": residual_net}


def train_until(
    model: keras.Model,
    train: tuple[NDArray[Any], NDArray[Any]],
    val: tuple[NDArray[Any], NDArray[Any]],
    *,
    start: float,
    seconds: float,
    flip: bool = False,
) -> tuple[list[tuple[float, float]], int]:
    """Trains with Adam until the time is up, and leaves the best weights on `val` in the model.

    The learning rate follows the time: it climbs to 0.003 within the first tenth and comes down on
    half a cosine, so that it is near zero at the end whatever the machine can do.

    Args:
        model: Pixels to probabilities.
        train: Images and labels, both whole in memory.
        val: Likewise; looked at every 100 steps.
        start: When the time began, as `time.time` has it.
        seconds: How long the training may go on from then.
        flip: Whether to mirror half of the images.

    Returns:
        Seconds since the start and validation accuracy of each look; and the number of steps.
    """
    import keras
    import tensorflow as tf

    def prepare(images: Any, labels: Any) -> Any:
        images = tf.image.random_flip_left_right(images) if flip else images
        return tf.cast(images, tf.float32), labels

    batches = (
        tf.data.Dataset.from_tensor_slices(train)
        .shuffle(len(train[1]), seed=1)
        .repeat()
        .map(prepare)
        .batch(BATCH_SIZE)
        .prefetch(4)
    )
    model.compile(
        keras.optimizers.Adam(), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    clock = _clock(start, seconds)
    model.fit(
        batches,
        steps_per_epoch=100,
        epochs=10**6,
        validation_data=val,
        validation_batch_size=500,
        callbacks=[clock],
        shuffle=False,
        verbose=0,
    )
    return clock.looks, int(model.optimizer.iterations)


def _clock(start: float, seconds: float) -> Any:
    """Returns the callback of `train_until`; Keras is imported only now."""
    import keras

    class Clock(keras.callbacks.Callback):
        looks: list[tuple[float, float]]

        def on_train_begin(self, logs: Any = None) -> None:
            self.looks, self.best = [], (-1.0, self.model.get_weights())

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            share = min((time.time() - start) / seconds, 1.0)
            falling = 0.5 * (1 + np.cos(np.pi * max(share - 0.1, 0) / 0.9))
            self.model.optimizer.learning_rate = 0.003 * max(min(share / 0.1, falling), 1e-4)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = time.time() - start > seconds

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            accuracy = float((logs or {})["val_accuracy"])
            self.looks.append((time.time() - start, accuracy))
            if accuracy > self.best[0]:
                self.best = accuracy, self.model.get_weights()

        def on_train_end(self, logs: Any = None) -> None:
            self.model.set_weights(self.best[1])

    return Clock()
