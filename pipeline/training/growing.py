"""Heads that change while they are trained: units are added, or weights are taken away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Masks = dict[str, NDArray[np.bool_]]


def grow(small: keras.Model, large: keras.Model) -> None:
    """Gives a larger head the function of a smaller one.

    What both have is copied. A unit that is new has the incoming weights that it was built with and
    outgoing ones of 0, so that nothing is heard of it until it is trained.

    Args:
        small: A head of dense layers, `hidden_0` and so forth, then `probabilities`.
        large: The same with as many or more units in each layer; changed in place.

    Raises:
        ValueError: If a layer of the larger one is smaller, or one of them has other layers.
    """
    pairs = list(zip(dense_layers(small), dense_layers(large), strict=True))
    for old, new in pairs:
        kernel, bias = (np.array(one) for one in new.get_weights())
        old_kernel, old_bias = old.get_weights()
        rows, columns = old_kernel.shape
        if rows > kernel.shape[0] or columns > kernel.shape[1] or old.name != new.name:
            raise ValueError(f"{new.name} must be as large as {old.name}, or larger.")
        # From units that are new nothing goes into those that were there.
        kernel[rows:, :] = 0.0
        kernel[:rows, :columns] = old_kernel
        bias[:columns] = old_bias
        new.set_weights([kernel, bias])


def dense_layers(model: keras.Model) -> list[Any]:
    """Returns the layers with kernels, from the features to the probabilities."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def smallest_masks(model: keras.Model, share: float) -> Masks:
    """Returns which weights of each kernel are kept if a share of all of them is taken away.

    Those of the smallest magnitude in all kernels together go first (Han et al. 2015, "Learning
    both weights and connections", arXiv:1506.02626). Biases stay.

    Args:
        model: A head.
        share: Of its kernels' weights to take away, in [0, 1).
    """
    kernels = {layer.name: layer.get_weights()[0] for layer in dense_layers(model)}
    sizes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels.values()])
    num_gone = round(share * len(sizes))
    order = np.argsort(sizes, kind="stable")
    kept = np.ones(len(sizes), dtype=bool)
    kept[order[:num_gone]] = False
    ends = np.cumsum([kernel.size for kernel in kernels.values()])[:-1]
    parts: Sequence[NDArray[np.bool_]] = np.split(kept, ends)
    shapes = zip(kernels.items(), parts, strict=True)
    return {name: part.reshape(kernel.shape) for (name, kernel), part in shapes}


def take_away(model: keras.Model, masks: Masks) -> None:
    """Sets the weights that are not kept to 0, and keeps them there after every later step.

    A program that was compiled for the model before does not know of it: see `programs.forget`.

    Args:
        model: A head; changed in place.
        masks: From `smallest_masks`.
    """
    for layer in dense_layers(model):
        kernel, *others = layer.get_weights()
        layer.set_weights([kernel * masks[layer.name], *others])
        layer.kernel.constraint = _Masked(masks[layer.name])


def saved_zero_share(model: keras.Model, file: Path) -> float:
    """Returns the share of the weights that are 0 in a head's file, loaded again.

    Args:
        model: A head.
        file: Where it is saved.
    """
    model.save(file)
    return zero_share(keras.saving.load_model(file))


def zero_share(model: keras.Model) -> float:
    """Returns the share of the kernels' weights that are exactly 0, in [0, 1]."""
    kernels = [layer.get_weights()[0] for layer in dense_layers(model)]
    return float(sum((one == 0).sum() for one in kernels) / sum(one.size for one in kernels))


class _Masked:
    """Multiplies weights by 0 and 1 after each step; on the variable, so that no file holds it."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._mask = keras.ops.convert_to_tensor(mask.astype(np.float32))

    def __call__(self, kernel: Any) -> Any:
        return kernel * self._mask
