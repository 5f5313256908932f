"""Keras' Adam and AdamW with the update of a variable as one operation of TensorFlow.

Keras writes it as ten operations, each of which reads and writes arrays as large as the variable.
On a head of two million weights that is a quarter of a training: `benchmarks/training_speed.py`.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """`keras.optimizers.Adam`, rounding apart, faster.

    Without what `training.optimizers` does not use: AMSGrad, sparse gradients, variables that do
    not decay, or of another type than float32.
    """

    def update_step(
        self,
        gradient: tf.Tensor,
        variable: "keras.Variable | tf.Variable",
        learning_rate: tf.Tensor,
    ) -> None:
        """Moves a variable and its two moments: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.

        Args:
            gradient: Of the loss by the variable, of its shape, clipped.
            variable: What is trained.
            learning_rate: A scalar > 0.
        """
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, gradient.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(tf.cast(self.beta_1, gradient.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, gradient.dtype), step),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        # One pass over each variable, too, where Keras' own takes three.
        if self.weight_decay is None:
            return
        kept = 1.0 - self.weight_decay * self.learning_rate
        for variable in variables:
            variable.assign(variable.value * kept)


class AdamW(Adam, keras.optimizers.AdamW):  # type: ignore[misc]
    """`keras.optimizers.AdamW`, rounding apart, faster."""


def _handle(variable: "keras.Variable | tf.Variable") -> tf.Tensor:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
