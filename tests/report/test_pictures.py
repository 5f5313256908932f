"""Images inside the page."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.report.pictures import MAX_SIDE, data_address


def opened(address):
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


@pytest.mark.parametrize("shape", [(28, 28), (8, 12), (32, 32, 3)])
def test_small_images_keep_every_pixel(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.array(opened(data_address(image))), image)


def test_one_channel_is_gray():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    np.testing.assert_array_equal(np.array(opened(data_address(image))), image[..., 0])


def test_large_images_are_scaled_down_and_keep_their_shape():
    assert opened(data_address(np.zeros((512, 256, 3), np.uint8))).size == (MAX_SIDE // 2, MAX_SIDE)


def test_the_same_image_gives_the_same_bytes():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert data_address(image) == data_address(image.copy())
