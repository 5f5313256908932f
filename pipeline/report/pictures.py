"""Images of the data as addresses that hold the image itself, so that the page needs no file."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Pixels of the longer side: sharp at the size of a thumbnail on a dense screen.
MAX_SIDE = 128


def data_address(image: NDArray[np.integer[Any]]) -> str:
    """Returns an image as a `data:` address of a PNG; the same bytes for the same image.

    Args:
        image: uint8, shape (height, width), (height, width, 1) or (height, width, 3); larger
            ones are scaled down to `MAX_SIDE`, smaller ones stay as they are.
    """
    pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
