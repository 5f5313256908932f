"""Pixels are stored as they are; of large images a network sees small ones, cached and exported."""

import hashlib
import json

import numpy as np
import pytest

from pipeline.features.arrays import ImageSet
from pipeline.features.pixels import pixels_bytes, write_pixels
from pipeline.training.export import Member, export, load_exported, predict_probabilities

NUM_IMAGES = 12
IS_TRAIN = np.array([True, False, True, True, False])


def image_set(*image_shape):
    return ImageSet(image_shape=image_shape, num_classes=3, is_train=IS_TRAIN)


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize(("shape", "stored"), [((4, 6), (4, 6, 1)), ((4, 6, 3), (4, 6, 3))])
def test_pixels_are_stored_with_their_channels(tmp_path, shape, stored):
    images = random_images(5, *shape)
    write_pixels(tmp_path, image_set(*shape), [images[:2], images[2:]])
    pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, images.reshape(5, *stored))


def test_statistics_of_pixels_are_over_the_train_part(tmp_path):
    images = random_images(5, 4, 6, 3)
    write_pixels(tmp_path, image_set(4, 6, 3), [images[:2], images[2:]])
    entry = manifest_of(tmp_path)["cuts"]["pixels"]
    train = images[IS_TRAIN].astype(np.float64)
    np.testing.assert_allclose(entry["mean"], train.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(entry["variance"], train.var(axis=(0, 1, 2)))


def test_manifest_of_pixels_is_the_one_that_readers_expect(tmp_path):
    write_pixels(tmp_path, image_set(4, 6), [random_images(5, 4, 6)])
    manifest = manifest_of(tmp_path)
    entry = manifest["cuts"].pop("pixels")
    assert manifest == {
        "base": "none",
        "image_size": None,
        "image_shape": [4, 6],
        "num_images": 5,
        "num_classes": 3,
        "weights_sha256": None,
        "cuts": {},
    }
    assert (entry["file"], entry["shape"], entry["dtype"]) == ("pixels.npy", [4, 6, 1], "uint8")
    assert entry["num_parameters_below"] == 0
    file = (tmp_path / "pixels.npy").read_bytes()
    assert entry["sha256"] == hashlib.sha256(file).hexdigest()


def test_an_array_takes_what_is_said(tmp_path):
    images = image_set(4, 6)
    write_pixels(tmp_path, images, [random_images(5, 4, 6)])
    stored = np.load(tmp_path / "pixels.npy")
    assert pixels_bytes(images, None) == stored.nbytes == 5 * 4 * 6
    assert pixels_bytes(image_set(9, 8, 3), 4) == 5 * 4 * 4 * 3 * 2


@pytest.mark.keras
@pytest.mark.parametrize("shape", [(100, 100), (100, 80, 3)], ids=["gray", "colour"])
def test_the_exported_model_of_raw_images_equals_the_cached_path(tmp_path, shape):
    import keras

    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *shape), np.uint8)
    is_train = np.arange(NUM_IMAGES) % 3 > 0
    large = ImageSet(image_shape=shape, num_classes=3, is_train=is_train)
    write_pixels(tmp_path, large, [images[:7], images[7:]], image_size=24)
    manifest = manifest_of(tmp_path)
    pixels = np.load(tmp_path / "pixels.npy").astype(np.float32)
    channels = 1 if len(shape) == 2 else 3
    assert manifest["cuts"]["pixels"]["shape"] == [24, 24, channels]
    assert manifest["cuts"]["pixels"]["pooling"] == "none"
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
