"""Monte Carlo dropout: what a model answers when only its dropout is switched on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.seeds import derive_seed

if TYPE_CHECKING:
    import keras


class DropoutHead:
    """The part of a model above its lowest dropout, where dropout is never switched off.

    Batch normalization stays as it is outside training. Reference: Gal and Ghahramani 2016,
    "Dropout as a Bayesian approximation", arXiv:1506.02142, equation 6.

    Args:
        model: Raw images to probabilities, as `load_exported` returns it, with dropout in it.
        seed: Of what is dropped, >= 0.

    Attributes:
        stem: The model, with what the head starts from as further outputs.
    """

    def __init__(self, model: keras.Model, *, seed: int) -> None:
        import keras
        import tensorflow as tf

        inputs = _below_dropout(model)
        self.stem = keras.Model(model.input, [model.output, *inputs])
        head = _without_switch(keras.Model(inputs, model.output), seed=seed)
        self._sample = tf.function(lambda features: head(features, training=False), autograph=False)

    def mean(self, features: Sequence[NDArray[np.float32]], *, num_passes: int) -> Any:
        """Returns the mean probabilities over passes that each drop other units.

        Args:
            features: The further outputs of `stem` for n images, in order.
            num_passes: Over each image, >= 1.

        Returns:
            float32, shape (n, num_classes).
        """
        import tensorflow as tf

        given = [tf.constant(one) for one in features]
        passes = [self._sample(given).numpy() for _ in range(num_passes)]
        return np.mean(passes, axis=0, dtype=np.float32)


def has_dropout(model: keras.Model) -> bool:
    """Whether a model has a layer that drops units; layers that drop whole branches are none."""
    return any(_is_dropout(layer) for layer in model.layers)


def _is_dropout(layer: Any) -> bool:
    import keras

    if type(layer) is keras.layers.Dropout:
        # With a noise shape it drops the branch of a whole image: the stochastic depth of a base.
        return bool(layer.rate) and layer.noise_shape is None
    return type(layer) is keras.layers.AlphaDropout and bool(layer.rate)


def _below_dropout(model: keras.Model) -> list[Any]:
    """Returns the tensors that the lowest dropouts take, and others that what is above them takes.

    An average of a network with dropout and one without takes the answer of the other one.
    """
    from pipeline.bases.graph import nodes_in_order

    above: set[int] = set()
    found: dict[int, Any] = {}
    for node in nodes_in_order(model):
        is_above = any(id(tensor) in above for tensor in node.input_tensors)
        if is_above or _is_dropout(node.operation):
            found |= {id(one): one for one in node.input_tensors if id(one) not in above}
            above |= {id(tensor) for tensor in node.output_tensors}
    return list(found.values())


def _without_switch(model: keras.Model, *, seed: int) -> keras.Model:
    """Returns a model of the same layers, but for dropout, which drops outside training too."""
    import keras

    class Dropout(keras.layers.Dropout):  # type: ignore[misc]
        def call(self, inputs: Any, training: bool = False) -> Any:
            return super().call(inputs, training=True)

    class AlphaDropout(keras.layers.AlphaDropout):  # type: ignore[misc]
        def call(self, inputs: Any, training: bool = False) -> Any:
            return super().call(inputs, training=True)

    def clone(layer: Any) -> Any:
        if not _is_dropout(layer):
            return layer
        kind = Dropout if isinstance(layer, keras.layers.Dropout) else AlphaDropout
        own = derive_seed(seed, "dropout", layer.name)
        return kind.from_config({**layer.get_config(), "seed": own})

    return keras.models.clone_model(model, clone_function=clone)
