"""Probabilities of rows of a memory-mapped array, a few large batches at a time."""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.training.batches import Indices, TrainingData, gather

MAX_BATCH_ROWS = 1024
MAX_BATCH_BYTES = 32 * 2**20


class Predictor:
    """A model's answers through one compiled function, which follows the model's weights.

    Args:
        model: Float32 features to probabilities.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._run = tf.function(self._predict_batch, reduce_retracing=True)

    def __call__(self, data: TrainingData, rows: Indices) -> NDArray[np.float32]:
        """Returns probabilities, shape (len(rows), num_classes).

        Args:
            data: Where the rows come from.
            rows: Which of its features, >= 1, in the order of the answer.
        """
        features, centre = data.features, tf.constant(data.centre)
        float32_bytes = max(4 * features[0].size, 1)
        size = max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // float32_bytes))
        batches = [
            self._run(tf.constant(gather(features, rows[start : start + size])), centre).numpy()
            for start in range(0, len(rows), size)
        ]
        return np.concatenate(batches)

    def _predict_batch(self, features: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
        return self._model(tf.cast(features, tf.float32) + centre, training=False)
