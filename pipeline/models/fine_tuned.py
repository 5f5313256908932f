"""A segment of a base and a head, trained together. Imports Keras: imported by what trains only."""

from typing import Any

import keras

from pipeline.models.export import chain
from pipeline.models.graph import rebuild


class FineTuned(keras.Model):  # type: ignore[misc]
    """Runs a segment of a base as in inference, also while it is trained, and a head on top.

    As one functional model it could not: Keras hands `training` on to every layer of one, and the
    base's dropout would drop.

    Args:
        segment: Features of the lower cut to those that the head takes; some layers are trainable.
        head: Those features to probabilities; it is copied and left alone.
    """

    def __init__(self, segment: keras.Model, head: keras.Model) -> None:
        super().__init__(name="fine_tuned")
        self.segment = segment
        self.head = _copied(head)
        self(keras.Input(segment.input.shape[1:]))

    def call(self, features: Any, training: bool | None = None) -> Any:
        return self.head(self.segment(features, training=False), training=training)

    def flat(self) -> keras.Model:
        """Returns a copy as one functional model of Keras' own layers, for inference."""
        return chain([self.segment, self.head])


def _copied(model: keras.Model) -> keras.Model:
    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(layer.get_config())

    inputs = keras.Input(model.input.shape[1:], name=model.inputs[0].name)
    return keras.Model(inputs, rebuild(model, inputs, clone=clone), name=model.name)
