"""The model of phase 2: layers of a base that are trained on, and the head above them."""

from typing import Any

import keras

from pipeline.bases.graph import rebuild
from pipeline.training.export import chain


class FineTuned(keras.Model):  # type: ignore[misc]
    """Runs a segment of a base as in inference, also while it is trained, and a head on top.

    As one functional model it could not: Keras hands `training` on to every layer of one, and the
    base's dropout would drop.

    Args:
        segment: Features of the lower cut to those that the head takes; some layers are trainable.
            It is copied and left alone.
        head: Those features to probabilities; it is copied and left alone, too.
    """

    def __init__(self, segment: keras.Model, head: keras.Model) -> None:
        super().__init__(name="fine_tuned")
        self.segment = _copied(segment)
        self.head = _copied(head)
        self(keras.Input(segment.input.shape[1:]))

    def call(self, features: Any, training: bool | None = None) -> Any:
        return self.head(self.segment(features, training=False), training=training)

    def get_config(self) -> dict[str, object]:
        return {"segment": self.segment.get_config(), "head": self.head.get_config()}

    def flat(self) -> keras.Model:
        """Returns a copy as one functional model of Keras' own layers, for inference."""
        return chain([self.segment, self.head])


def _copied(model: keras.Model) -> keras.Model:
    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(layer.get_config())

    inputs = keras.Input(model.input.shape[1:], name=model.inputs[0].name)
    return keras.Model(inputs, rebuild(model, inputs, clone=clone), name=model.name)
