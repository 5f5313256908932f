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

`benchmarks/training_speed.py` puts it beside Keras' plain `fit`, which takes 2.6, 2.7 and 3.1
times the CPU seconds and up to twice the memory.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.training import gradients as health
from pipeline.training.batches import Chunk, Indices, TrainingData, gather
from pipeline.training.fine_tuned import FineTuned

# The norm reads every gradient once more. Measured at every step it costs 17% of an epoch of the
# 784-300-100-10 network at batch 32 (0.81 CPU seconds against 0.70); at every eighth, nothing that
# could be told from noise.
GRADIENT_NORM_INTERVAL = 8
# Fewer steps than this many per epoch are all measured: a mean of a handful says little.
MIN_MEASURED_STEPS = 32

# What `Steps.train` sums besides what a `StepGauge` measures.
NUM_SUMS = 5
Sums = NDArray[np.float64]

MAX_BATCH_ROWS = 1024
MAX_BATCH_BYTES = 32 * 2**20


class Steps:
    """A model, its optimizer, and the compiled function that trains the one with the other.

    Args:
        model: Float32 features to probabilities; its last layer is a softmax.
        optimizer: Clips gradients by itself if it should.
        batch_size: Rows per update, >= 1.
        steps_per_epoch: Updates in one epoch, >= 1; decides how often the norm is measured.
        centre: What is added to features before the model takes them; see `TrainingData`.
        schedule: The optimizer's learning rates, where a table rules them.

    Attributes:
        predict: The model's answers, by a function that is compiled, too.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        batch_size: int,
        steps_per_epoch: int,
        centre: NDArray[np.float32],
        schedule: "TabulatedSchedule | None" = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.predict = Predictor(model)
        self._schedule = schedule
        # From probabilities, yet as exact as from logits: Keras finds them behind the softmax.
        self._loss = keras.losses.SparseCategoricalCrossentropy()
        self._batch_size = batch_size
        self._centre = centre
        measured_all = steps_per_epoch < GRADIENT_NORM_INTERVAL * MIN_MEASURED_STEPS
        often = max(1, min(GRADIENT_NORM_INTERVAL, steps_per_epoch // health.CLIPPED_STEPS))
        self._intervals = 1 if measured_all else GRADIENT_NORM_INTERVAL, often
        optimizer.build(model.trainable_variables)
        self._gauge = health.StepGauge(model, optimizer)
        self._run = _OfRows(self._train_batches)

    @property
    def variables(self) -> list[Any]:
        """All that a training changes: weights, states of random seeds, the optimizer's slots."""
        return [*self.model.variables, *self.optimizer.variables]

    def structure(self) -> str:
        """Returns what is compiled, as JSON: steps of which it is equal can take each other over.

        No part of it are the numbers that `take_over` copies.
        """
        optimizer = {
            **self.optimizer.get_config(),
            "name": type(self.optimizer).__name__,
            "learning_rate": self._schedule is None,
        }
        parts = [self.model.get_config(), optimizer, self._centre.tolist()]
        return json.dumps(_without_seeds(parts))

    def take_over(self, other: "Steps") -> None:
        """Begins another training with what is compiled here.

        Args:
            other: Of the same structure. Its weights, seeds, optimizer's state, learning rates and
                sizes are copied.
        """
        copy_variables(other.variables, to=self.variables)
        if self._schedule is not None and other._schedule is not None:
            self._schedule.assign(other._schedule)
        self._batch_size, self._intervals = other._batch_size, other._intervals

    def train(self, chunk: Chunk, *, so_far: Sums | None = None) -> Sums:
        """Takes the chunk's gradient steps.

        Args:
            chunk: Whose batches to train on, in order.
            so_far: Sums of the chunk before, to go on from as if both were one, to the last bit.

        Returns:
            Sums over the chunk, `NUM_SUMS` of them: of loss times rows, of rows classified rightly,
            of gradient norms, of steps whose norm was measured, and of steps whose loss is finite.
            The loss contains the penalties of regularizers, as `fit` reports it, and each batch
            counts by its rows. Then those of a `StepGauge`.
        """
        # As tensors, the sizes are no part of what is compiled.
        sizes = (chunk.num_batches, self._batch_size, self._intervals)
        sums = np.zeros(NUM_SUMS + self._gauge.size) if so_far is None else so_far
        rows = [chunk.features, chunk.labels, chunk.weights]
        found = self._run(rows, [sums.astype(np.float32), *sizes])
        return np.asarray(found, dtype=np.float64)

    def train_and_compare(self, chunk: Chunk) -> tuple[Sums, NDArray[np.float64]]:
        """Takes the chunk's steps; returns its sums, and how far the first one changed the weights.

        The second is shape (kernels,): see `gradients.update_ratios`.
        """
        first, rest = chunk.split(self._batch_size)
        before = health.kernels(self.model)
        sums = self.train(first)
        ratios = health.update_ratios(before, health.kernels(self.model))
        return (self.train(rest, so_far=sums) if rest.num_batches else sums), ratios

    def _train_batches(
        self,
        features: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
        sums: tf.Tensor,
        num_batches: tf.Tensor,
        batch_size: tf.Tensor,
        intervals: tf.Tensor,
    ) -> tf.Tensor:
        def step(batch: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = slice(batch * batch_size, (batch + 1) * batch_size)
            batch_features = tf.cast(features[rows], tf.float32) + self._centre
            found = self._train_batch(batch_features, labels[rows], weights[rows], intervals)
            return batch + 1, sums + found

        return tf.while_loop(lambda batch, _: batch < num_batches, step, (0, sums))[1]

    def _train_batch(
        self, features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, intervals: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            probabilities = self.model(features, training=True)
            loss = self._loss(labels, probabilities, sample_weight=weights)
            loss = tf.add_n([loss, *self.model.losses])
        gradients = tape.gradient(loss, self.model.trainable_variables)
        measured, clipping = tf.unstack(
            tf.cast(self.optimizer.iterations, "int32") % intervals == 0
        )
        # Before `apply`, which clips.
        norm, figures = self._gauge.measured(gradients, measured, clipping)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        predicted = tf.argmax(probabilities, axis=-1, output_type=labels.dtype)
        correct = tf.math.count_nonzero(predicted == labels, dtype=tf.float32)
        num_rows = tf.cast(tf.shape(labels)[0], tf.float32)
        is_finite = tf.cast(tf.math.is_finite(loss), tf.float32)
        own = [loss * num_rows, correct, norm, tf.cast(measured, tf.float32), is_finite]
        return tf.concat([tf.stack(own), figures], axis=0)


class Predictor:
    """A model's answers through one compiled function, which follows the model's weights.

    Args:
        model: Takes float32 features, shape (n, ...), and gives probabilities, (n, num_classes).
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._run = _OfRows(self._predict_batch)

    def __call__(self, data: TrainingData, rows: Indices) -> NDArray[np.float32]:
        """Returns probabilities, shape (len(rows), num_classes).

        Args:
            data: Where the rows come from.
            rows: Which of its features, >= 1, in the order of the answer.
        """
        features = data.features
        float32_bytes = max(4 * features[0].size, 1)
        size = max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // float32_bytes))
        batches = [
            self._run([gather(features, rows[start : start + size])], [data.centre])[0].numpy()
            for start in range(0, len(rows), size)
        ]
        return np.concatenate(batches)

    def idle_shares(self, data: TrainingData) -> NDArray[np.float32]:
        """Returns the shares of dead and of saturated units by hidden layer, (2, num_hidden)."""
        shares = self._run([gather(data.features, health.probe_rows(data))], [data.centre])[1]
        return np.asarray(shares)

    def _predict_batch(self, features: tf.Tensor, centre: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # One function for both: to trace a second one costs what some cheap trainings take, the
        # shares cost next to nothing beside the network.
        x, head = tf.cast(features, tf.float32) + centre, self._model
        if isinstance(head, FineTuned):
            x, head = head.segment(x, training=False), head.head
        layers = health.hidden_activations(head)
        watched = keras.Model(head.inputs, [*head.outputs, *(layer.output for layer in layers)])
        probabilities, *hidden = keras.tree.flatten(watched(x, training=False))
        return probabilities, health.idle_shares(layers, hidden)


class _OfRows:
    """A compiled function of arrays with any number of rows.

    `tf.function` alone compiles it for the number that comes first, and again, for any, when
    another one comes: in every training, whose last batches are fewer.

    Args:
        function: Takes arrays of rows, then others.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._compiled: dict[tuple[tf.TensorSpec, ...], Callable[..., Any]] = {}

    def __call__(self, by_row: Sequence[NDArray[Any]], others: Sequence[Any]) -> Any:
        rows, rest = [*map(tf.constant, by_row)], [*map(tf.constant, others)]
        signature = (
            *(tf.TensorSpec([None, *each.shape[1:]], each.dtype) for each in rows),
            *(tf.TensorSpec(each.shape, each.dtype) for each in rest),
        )
        if signature not in self._compiled:
            # Nothing in here is for AutoGraph, which would look into every function that is called.
            self._compiled[signature] = tf.function(
                self._function, input_signature=signature, autograph=False
            )
        return self._compiled[signature](*rows, *rest)


def copy_variables(variables: Sequence[keras.Variable], *, to: Sequence[keras.Variable]) -> None:
    """Copies the values of variables, of weights and of random states alike, to others."""
    for source, target in zip(variables, to, strict=True):
        if target is not source:
            target.assign(source.value)


class TabulatedSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Looks up the learning rate of each optimizer step; holds the last one afterwards.

    So the curve that is tested, plotted and logged is the one the optimizer uses. Models are
    saved without their optimizer, hence nothing here needs to be serialized by name.

    Args:
        table: Learning rates, shape (num_steps,), float32; see `schedules.learning_rate_table`.
    """

    def __init__(self, table: NDArray[np.float32]) -> None:
        # Of any length, so that another training's rates can take its place.
        self._table = tf.Variable(table, trainable=False, shape=[None])

    def __call__(self, step: "tf.Tensor") -> "tf.Tensor":
        index = tf.minimum(tf.cast(step, tf.int32), tf.shape(self._table)[0] - 1)
        return tf.gather(self._table, index)

    def assign(self, other: "TabulatedSchedule") -> None:
        """Takes over another's learning rates, of whatever length."""
        self._table.assign(other._table)

    def get_config(self) -> dict[str, object]:
        return {"table": self._table.numpy().tolist()}


def _without_seeds(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _without_seeds(value) for key, value in config.items() if key != "seed"}
    return [_without_seeds(one) for one in config] if isinstance(config, list | tuple) else config
