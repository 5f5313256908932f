"""The Keras side of a learning-rate schedule: a table looked up at every optimizer step."""

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf


class TabulatedSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Looks up the learning rate of each optimizer step; holds the last one afterwards.

    So the curve that is tested, plotted and logged is the one the optimizer uses. Models are
    saved without their optimizer, hence nothing here needs to be serialized by name.

    Args:
        table: Learning rates, shape (num_steps,), float32; see `schedules.learning_rate_table`.
    """

    def __init__(self, table: NDArray[np.float32]) -> None:
        self._table = table

    def __call__(self, step: "tf.Tensor") -> "tf.Tensor":
        index = ops.minimum(ops.cast(step, "int32"), len(self._table) - 1)
        return ops.take(self._table, index)

    def get_config(self) -> dict[str, Any]:
        return {"table": self._table.tolist()}
