"""The table of bases, and how images are brought to them."""

import subprocess
import sys

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.models.bases import BASES, check_base, load_base, preprocessing

pytestmark = pytest.mark.keras

QUICK = ("efficientnet_lite0", "mobilenet", "vgg16")


@pytest.fixture(scope="module", params=QUICK)
def quick_base(request):
    size = BASES[request.param].min_image_size
    return request.param, load_base(request.param, image_size=size, weights="random")


def check_every_promise(name, base):
    spec = BASES[name]
    assert base.output.shape == (None, spec.num_features)
    assert base.input.shape == (None, spec.min_image_size, spec.min_image_size, 3)
    assert base.trainable_weights == []
    assert base.layers[-1].name == "avg_pool"


def test_base_keeps_the_promises_of_its_entry(quick_base):
    check_every_promise(*quick_base)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(BASES) - set(QUICK)))
def test_every_other_base_keeps_the_promises_of_its_entry(name):
    size = BASES[name].min_image_size
    check_every_promise(name, load_base(name, image_size=size, weights="random"))


def test_batch_statistics_stay_when_the_base_is_called_for_training(quick_base):
    _, base = quick_base
    x = np.random.default_rng(0).uniform(0, 255, (2, *base.input.shape[1:])).astype(np.float32)
    np.testing.assert_allclose(base(x, training=True), base(x, training=False), rtol=1e-4)


def test_the_table_is_read_without_keras():
    code = "import sys, pipeline.models.bases, pipeline.models.cuts; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_base_is_refused_without_keras():
    code = (
        "import sys\nfrom pipeline.models.bases import load_base\n"
        "try:\n    load_base('nothing', image_size=64)\n"
        "except ValueError:\n    print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_unknown_base_names_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown base: 'resnet'. Did you mean 'resnet50'"):
        check_base("resnet", image_size=64)


def test_images_too_small_for_a_base_are_refused():
    with pytest.raises(ConfigError, match=r"75 pixels or more. Received: image_size=64"):
        load_base("inception_v3", image_size=64, weights="random")


def test_gray_images_become_equal_colours():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    output = np.asarray(preprocessing((8, 8), 8)(images))
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output, np.repeat(images[..., None], 3, axis=-1))


def test_rgb_images_of_the_right_size_pass_unchanged():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(preprocessing((8, 8, 3), 8)(images), images)


def test_pixels_keep_their_size_and_channels():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 6), dtype=np.uint8)
    output = np.asarray(preprocessing((8, 6), None)(images))
    np.testing.assert_array_equal(output, images[..., None])
    assert output.dtype == np.float32
    rgb = np.zeros((1, 8, 6, 3), np.uint8)
    assert preprocessing((8, 6, 3), None)(rgb).shape == (1, 8, 6, 3)


def bilinear(image, size):
    """Interpolates between pixel centres, one axis after the other, in float64."""

    def along_rows(rows):
        n = len(rows)
        centres = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
        low = np.floor(centres).astype(int)
        high = np.minimum(low + 1, n - 1)
        share = (centres - low)[:, None]
        return rows[low] * (1 - share) + rows[high] * share

    return along_rows(along_rows(image.astype(np.float64)).T).T


def test_enlarging_is_bilinear_and_does_not_round():
    image = np.random.default_rng(0).integers(0, 256, (7, 7), dtype=np.uint8)
    output = np.asarray(preprocessing((7, 7), 16)(image[None]))[0]
    for channel in range(3):
        np.testing.assert_allclose(output[..., channel], bilinear(image, 16), atol=1e-3)


def test_shrinking_looks_at_every_pixel():
    # Bright columns that a plain interpolation at every fourth pixel would miss.
    image = np.zeros((32, 32), np.uint8)
    image[:, ::4] = 255
    output = np.asarray(preprocessing((32, 32), 8)(image[None]))[0, 2:-2, 2:-2]
    np.testing.assert_allclose(output, 255 / 4, rtol=0.15)
