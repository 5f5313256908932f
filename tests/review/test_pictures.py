"""Thumbnails are small, and of a kind that fits their size."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.review.pictures import make_tile


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [
        ((28, 28), "PNG", (28, 28)),
        ((32, 32, 3), "PNG", (32, 32)),
        ((192, 192, 3), "WEBP", (96, 96)),
    ],
)
def test_small_images_are_kept_whole_and_large_ones_compressed(shape, kind, size):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(make_tile(image))) as tile:
        assert (tile.format, tile.size) == (kind, size)
        if kind == "PNG":
            np.testing.assert_array_equal(np.asarray(tile), image)
