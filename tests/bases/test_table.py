"""The table of bases, and how images are brought to them."""

import subprocess
import sys

import numpy as np
import pytest

from pipeline.bases.load import load_base
from pipeline.bases.table import BASES, check_base, preprocessing
from pipeline.errors import ConfigError

pytestmark = pytest.mark.keras

QUICK = ("efficientnet_lite0", "mobilenet", "vgg16")


@pytest.fixture(scope="module", params=QUICK)
def quick_base(request):
    size = BASES[request.param].min_image_size
    return request.param, load_base(request.param, image_size=size, weights="random")


def check_every_promise(name, base):
    spec = BASES[name]
    averaged, *above = [layer for layer in base.layers if layer.name in ("avg_pool", "avg_norm")]
    assert base.output.shape == (None, averaged.input.shape[-1])
    assert [layer.name for layer in above] == ["avg_norm"] * spec.is_average_normalized
    assert base.input.shape == (None, spec.min_image_size, spec.min_image_size, 3)
    assert base.trainable_weights == []
    kinds = {type(layer).__name__ for layer in base.layers}
    assert not kinds & {"Dropout", "StochasticDepth", "Sequential", "Functional"}


def test_base_keeps_the_promises_of_its_entry(quick_base):
    check_every_promise(*quick_base)


# One of each family; the larger ones of a family are made by the same code, with more layers.
ONE_OF_EACH = (
    "convnext_tiny",
    "efficientnet_b0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    *(
        pytest.param(name, marks=pytest.mark.families)
        for name in (
            *("densenet121", "efficientnet_v2_b0", "inception_resnet_v2", "inception_v3"),
            *("nasnet_mobile", "resnet50", "resnet50_v2", "xception"),
        )
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_one_base_of_every_other_family_keeps_the_promises_of_its_entry(name):
    size = BASES[name].min_image_size
    check_every_promise(name, load_base(name, image_size=size, weights="random"))


def test_every_network_of_keras_is_in_the_table():
    import keras

    networks = {name for name in dir(keras.applications) if name[0].isupper()}
    assert networks == {spec.constructor for spec in BASES.values() if spec.constructor}


def test_batch_statistics_stay_when_the_base_is_called_for_training(quick_base):
    _, base = quick_base
    x = np.random.default_rng(0).uniform(0, 255, (2, *base.input.shape[1:])).astype(np.float32)
    np.testing.assert_allclose(base(x, training=True), base(x, training=False), rtol=1e-4)


def test_the_table_is_read_without_keras():
    code = "import sys, pipeline.bases.table, pipeline.bases.cuts; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_base_is_refused_without_keras():
    code = (
        "import sys\nfrom pipeline.bases.load import load_base\n"
        "try:\n    load_base('nothing', image_size=64)\n"
        "except ValueError:\n    print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_unknown_base_names_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown base: 'resnet'. Did you mean 'resnet50'"):
        check_base("resnet", image_size=64)


def test_an_unknown_base_says_where_the_others_are():
    with pytest.raises(ConfigError, match=r"`python -m pipeline cuts --help` lists.*under `model`"):
        check_base("anything", image_size=64)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("mobilenet", {"alpha": 0.3}, r"ImageNet weights exist for: 0\.25, 0\.5, 0\.75, 1\.0"),
        ("vgg16", {"alpha": 0.5}, "vgg16 comes in one width: alpha is for mobilenet, mobilenet_v2"),
        ("vgg16", {"weights": "no.h5"}, r"or a file that is there. Received: weights=no\.h5"),
        ("efficientnet_lite0", {"weights": "x.pth"}, "come with the installation, or random ones"),
    ],
)
def test_what_a_base_does_not_come_with_is_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        check_base(name, image_size=64, **settings)


def test_weights_of_ones_own_may_have_any_width():
    check_base("mobilenet", image_size=64, weights="random", alpha=0.3)


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


def test_random_weights_are_the_same_each_time_and_leave_pythons_generator_alone():
    import random

    from pipeline.bases.model_files import weights_sha256

    state = random.getstate()
    for name, image_size in (("mobilenet_v3_small", 32), ("efficientnet_lite0", 48)):
        first, second = (
            weights_sha256(load_base(name, image_size=image_size, weights="random"))
            for _ in range(2)
        )
        assert first == second
    assert random.getstate() == state
