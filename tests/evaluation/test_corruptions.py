"""Images are changed as it is said, and nothing but the images."""

import numpy as np
import pytest

from pipeline.evaluation.corruptions import CORRUPTIONS, NOISE_STD, corrupted


@pytest.fixture(params=[(40, 40), (40, 40, 3)], ids=["gray", "rgb"])
def images(request):
    """Three images: black above, and light gray below."""
    found = np.zeros((3, *request.param), np.uint8)
    found[:, 20:] = 200
    return found


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_each_changes_the_images_and_keeps_their_shape(images, name):
    before = images.copy()
    found = corrupted(images, name, seed=1)
    assert (found.dtype, found.shape) == (np.uint8, images.shape)
    assert (found != images).mean() > 0.01
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(corrupted(images, name, seed=1), found)


def test_noise_is_as_strong_as_it_is_said_and_another_in_each_image(images):
    gray = np.full_like(images, 128)
    found = corrupted(gray, "noise", seed=1).astype(float)
    assert found.std() == pytest.approx(NOISE_STD, rel=0.05)
    assert (found[0] != found[1]).mean() > 0.9
    assert (corrupted(gray, "noise", seed=2) != found).mean() > 0.9


def test_light_is_changed_without_overflow(images):
    assert corrupted(images, "dark", seed=0)[0, 30, 0].max() == 100
    assert corrupted(images, "bright", seed=0)[0, 30, 0].max() == 255


def test_blur_reaches_over_the_edge_and_not_far(images):
    found = corrupted(images, "blur", seed=0)
    assert 0 < found[0, 19, 5].max() < 200
    assert found[0, 2, 5].max() == 0
