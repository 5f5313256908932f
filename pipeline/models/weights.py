"""What identifies trained weights, whatever file they are in."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def weights_sha256(model: "keras.Model") -> str:
    """Returns the SHA-256 of a model's weights in order, with their types and shapes.

    A `.keras` file holds the time it was written, so that its own hash tells nothing.

    Returns:
        64 hex digits, the same for every copy of the model.
    """
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
