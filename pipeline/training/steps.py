"""The compiled part of training: gradient steps over a chunk of batches.

The loop is the one of Keras' guide "Writing a training loop from scratch", moved into one
`tf.function` that takes up to 64 steps, because Python must not be the bottleneck. Seconds per
epoch of 50,000 rows on one core of 2, medians of 4, when the choice was made:

    how                                              784-300-100-10    8x8x40-256-10
                                                     b=32    b=128     b=128
    fit, own train_step, steps_per_execution=50      0.89    0.60      1.45
    tf.function per epoch, numpy_function per batch  0.63    0.46      1.71
    tf.function per chunk of 64 steps: this          0.54    0.40      1.51
    tf.function per epoch, all data as a constant    0.62    0.38      1.56

`benchmarks/training_speed.py` puts it beside Keras' plain `fit`, which takes 3.4, 1.6 and 1.8
times the CPU seconds and about twice the memory.
"""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.training.batches import Chunk

# The norm reads every gradient once more. Measured at every step it costs 17% of an epoch of the
# 784-300-100-10 network at batch 32 (0.81 CPU seconds against 0.70); at every eighth, nothing that
# could be told from noise.
GRADIENT_NORM_INTERVAL = 8
# Fewer steps than this many per epoch are all measured: a mean of a handful says little.
MIN_MEASURED_STEPS = 32


class Steps:
    """A model, its optimizer, and the compiled function that trains the one with the other.

    Args:
        model: Float32 features to probabilities; its last layer is a softmax.
        optimizer: Clips gradients by itself if it should.
        batch_size: Rows per update, >= 1.
        steps_per_epoch: Updates in one epoch, >= 1; decides how often the norm is measured.
        class_weights: Weight of each class in the loss, shape (num_classes,), or None for 1.
        centre: As of `TrainingData`.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        batch_size: int,
        steps_per_epoch: int,
        class_weights: NDArray[np.float32] | None,
        centre: NDArray[np.float32],
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        # From probabilities, yet as exact as from logits: Keras finds them behind the softmax.
        self._loss = keras.losses.SparseCategoricalCrossentropy()
        self._batch_size = batch_size
        self._class_weights = class_weights
        self._centre = centre
        measured_all = steps_per_epoch < GRADIENT_NORM_INTERVAL * MIN_MEASURED_STEPS
        self._norm_interval = 1 if measured_all else GRADIENT_NORM_INTERVAL
        optimizer.build(model.trainable_variables)
        self._run = tf.function(self._train_batches, reduce_retracing=True)

    def train(self, chunk: Chunk) -> NDArray[np.float64]:
        """Takes the chunk's gradient steps.

        Returns:
            Four sums over the chunk: of loss times rows, of rows classified rightly, of gradient
            norms, and of steps whose norm was measured. The loss contains the penalties of
            regularizers, as `fit` reports it, and weighs each batch by its rows.
        """
        sums = self._run(
            tf.constant(chunk.features), tf.constant(chunk.labels), tf.constant(chunk.num_batches)
        )
        return np.asarray(sums, dtype=np.float64)

    def _train_batches(
        self, features: tf.Tensor, labels: tf.Tensor, num_batches: tf.Tensor
    ) -> tf.Tensor:
        sums = tf.zeros(4)
        for batch in tf.range(num_batches):
            rows = slice(batch * self._batch_size, (batch + 1) * self._batch_size)
            batch_features = tf.cast(features[rows], tf.float32) + self._centre
            sums += self._train_batch(batch_features, labels[rows])
        return sums

    def _train_batch(self, features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            probabilities = self.model(features, training=True)
            loss = self._loss(labels, probabilities, sample_weight=self._weights_of(labels))
            loss = tf.add_n([loss, *self.model.losses])
        gradients = tape.gradient(loss, self.model.trainable_variables)
        measured = self.optimizer.iterations % self._norm_interval == 0
        # Before `apply`, which clips.
        norm = tf.cond(measured, lambda: tf.linalg.global_norm(gradients), lambda: 0.0)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        predicted = tf.argmax(probabilities, axis=-1, output_type=labels.dtype)
        correct = tf.math.count_nonzero(predicted == labels, dtype=tf.float32)
        num_rows = tf.cast(tf.shape(labels)[0], tf.float32)
        return tf.stack([loss * num_rows, correct, norm, tf.cast(measured, tf.float32)])

    def _weights_of(self, labels: tf.Tensor) -> tf.Tensor | None:
        return None if self._class_weights is None else tf.gather(self._class_weights, labels)
