"""The one activation that Keras lacks. Imports Keras: imported by what builds a layer only."""

from typing import Any

import keras

LOWEST_SLOPE = 1 / 8
HIGHEST_SLOPE = 1 / 3
MEAN_SLOPE = (LOWEST_SLOPE + HIGHEST_SLOPE) / 2


@keras.saving.register_keras_serializable("pipeline")
class RandomizedLeakyReLU(keras.layers.Layer):  # type: ignore[misc]
    """Leaky relu whose slope is drawn for each value in training and is its mean otherwise.

    A custom layer does not load without this project, so a model is saved only after
    `training.export.for_inference` has put a leaky relu of slope `MEAN_SLOPE` in its place.

    Args:
        seed: What the slopes are drawn from in training, in [0, 2**31).
        settings: What every Keras layer takes: `name`, `dtype`.
    """

    def __init__(self, *, seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        slope = MEAN_SLOPE
        if training:
            slope = keras.random.uniform(
                keras.ops.shape(inputs),
                LOWEST_SLOPE,
                HIGHEST_SLOPE,
                dtype=self.compute_dtype,
                seed=self._generator,
            )
        return keras.ops.where(inputs >= 0, inputs, slope * inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "seed": self.seed}
