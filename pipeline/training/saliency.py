"""Which region of an image decided: gradient times activation where the head looks at a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    import keras

MAP_RANK: Final = 4
SMALLEST: Final = 1e-12


class Saliency:
    """Maps of what spoke for a model's likeliest class.

    At the highest layers that still have a place for what they see, the cut that a head stands on
    or the maps side by side, a unit's share in the score is its gradient times its activation
    (Shrikumar, Greenside, Shcherbina and Kundaje 2016, arXiv:1605.01713, section 2; with one layer
    of averages above, it is the class activation map of Selvaraju et al. 2017, arXiv:1610.02391).
    The score is the difference of the two largest log probabilities, which does not flatten where
    a model is sure.

    Args:
        model: Raw images to probabilities of two classes or more, as `load_exported` returns it.

    Raises:
        ConfigError: If nothing in it has a height and a width.
    """

    def __init__(self, model: keras.Model) -> None:
        import keras
        import tensorflow as tf

        maps = _highest_maps(model)
        if not maps:
            raise ConfigError("The model has no layer whose output has a height and a width.")
        self._shape = tuple(model.input_shape[1:3])
        below = keras.Model(model.input, maps)
        above = keras.Model(maps, model.output)

        def compute(images: tf.Tensor) -> list[tf.Tensor]:
            seen = keras.tree.flatten(below(images, training=False))
            with tf.GradientTape() as tape:
                tape.watch(seen)
                logs = tf.math.log(above(seen, training=False) + SMALLEST)
                first, second = tf.unstack(tf.math.top_k(logs, 2).values, axis=1)
                score = first - second
            gradients = tape.gradient(score, seen)
            shares = [
                tf.reduce_sum(tf.reshape(one * gradient, [-1, *one.shape[1:3], channels]), axis=3)
                for one, gradient in zip(seen, gradients, strict=True)
                for channels in [one.shape[3] if len(one.shape) > 3 else 1]
            ]
            # Of maps of unlike sizes each keeps its sum: a share belongs to an area.
            return [
                tf.image.resize(one[..., None], self._shape)
                * (one.shape[1] * one.shape[2] / (self._shape[0] * self._shape[1]))
                for one in shares
            ]

        self._compute = tf.function(
            compute, input_signature=[tf.TensorSpec(model.input_shape, tf.uint8)], autograph=False
        )

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns how much each pixel's place spoke for the likeliest class.

        Args:
            images: As the model takes them, shape (n, height, width) or (n, height, width, 3).

        Returns:
            Shape (n, height, width), in [0, 1]: 1 where most speaks for it, 0 where nothing does.
        """
        summed = np.sum([one.numpy() for one in self._compute(images)], axis=0)[..., 0]
        positive = np.maximum(summed, 0.0)
        largest = positive.max(axis=(1, 2), keepdims=True)
        found: NDArray[np.float32] = positive / np.where(largest > 0, largest, 1.0)
        return found


def _highest_maps(model: keras.Model) -> list[Any]:
    """Returns the tensors with a height and a width above 1 that nothing like them is above.

    Averages on a grid are passed by: below them the same shares are known more finely, since an
    average hands its gradient on to all that it is of.
    """
    import keras

    from pipeline.bases.graph import nodes_in_order

    producers = {
        id(tensor): node for node in nodes_in_order(model) for tensor in node.output_tensors
    }
    found: dict[int, Any] = {}
    waiting, seen = [model.output], set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        producer = producers.get(id(tensor))
        is_average = producer and isinstance(producer.operation, keras.layers.AveragePooling2D)
        if _is_map(tensor, model) and not is_average:
            found[id(tensor)] = tensor
        elif producer is not None:
            waiting += producer.input_tensors
    return list(found.values())


def _is_map(tensor: Any, model: keras.Model) -> bool:
    # Gray pixels have no channel; anything else of their rank is a sequence of vectors.
    shape, is_gray = tensor.shape, tensor.shape == model.input_shape
    is_large = (len(shape) == MAP_RANK or is_gray) and shape[1] > 1 and shape[2] > 1
    return bool(is_large and tensor.dtype.startswith("float"))
