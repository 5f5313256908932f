"""A network on the pixels of large images sees them small, cached and in its exported file."""

import json

import numpy as np
import pytest

from pipeline.features.arrays import ImageSet
from pipeline.features.pixels import write_small_pixels
from pipeline.training.export import Member, export, load_exported, predict_probabilities

pytestmark = pytest.mark.keras
NUM_IMAGES = 12


@pytest.mark.parametrize("shape", [(100, 100), (100, 80, 3)], ids=["gray", "colour"])
def test_the_exported_model_of_raw_images_equals_the_cached_path(tmp_path, shape):
    import keras

    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *shape), np.uint8)
    is_train = np.arange(NUM_IMAGES) % 3 > 0
    image_set = ImageSet(image_shape=shape, num_classes=3, is_train=is_train)
    write_small_pixels(tmp_path, image_set, [images[:7], images[7:]], image_size=24)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    pixels = np.load(tmp_path / "pixels.npy").astype(np.float32)
    channels = 1 if len(shape) == 2 else 3
    assert manifest["cuts"]["pixels"]["shape"] == [24, 24, channels]
    np.testing.assert_allclose(
        manifest["cuts"]["pixels"]["mean"], pixels[is_train].mean(axis=(0, 1, 2)), rtol=1e-5
    )
    inputs = keras.Input((24, 24, channels))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    head = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    file = tmp_path / "scratch.keras"
    export(file, [Member(trained=head)], image_shape=shape, image_size=manifest["image_size"])
    # float16 of [0, 255] is off by 1/16 at most: of a thousand weighted pixels little is left.
    np.testing.assert_allclose(
        predict_probabilities(load_exported(file), images), head(pixels), atol=1e-3
    )
