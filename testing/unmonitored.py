"""Trainings without what tells how well they train: what monitoring is compared with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock


@contextmanager
def unmonitored() -> Iterator[None]:
    """Inside, steps are compiled with the gradient's norm alone, and nothing else is looked at."""
    import numpy as np
    import tensorflow as tf

    from pipeline.training import gradients, steps

    class OnlyNorm(gradients.StepGauge):
        """The norm that every release has measured."""

        def measured(
            self, gradients: Sequence[tf.Tensor], is_measured: tf.Tensor, is_clipping: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            norm = tf.cond(is_measured, lambda: tf.linalg.global_norm(gradients), lambda: 0.0)
            return norm, tf.ones(self.size)

    with (
        mock.patch.object(gradients, "StepGauge", OnlyNorm),
        mock.patch.object(gradients, "hidden_activations", return_value=[]),
        mock.patch.object(steps.Predictor, "idle_shares", return_value=np.zeros((2, 0))),
        mock.patch.object(
            steps.Steps, "train_and_compare", lambda self, chunk: (self.train(chunk), np.zeros(0))
        ),
    ):
        yield
