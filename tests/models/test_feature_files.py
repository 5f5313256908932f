"""Feature files open memory-mapped; the manifest comes last and says what there is."""

import json

import numpy as np
import pytest

from pipeline.models.cuts import Cut
from pipeline.models.feature_files import ImageSet, npy_file, write_manifest, write_pixels
from pipeline.models.moments import Moments

IS_TRAIN = np.array([True, False, True, True, False])


def image_set(*image_shape):
    return ImageSet(image_shape=image_shape, num_classes=3, is_train=IS_TRAIN)


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def read_manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_values_written_in_pieces_map_into_memory(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float16)
    with npy_file(tmp_path / "cut.npy", (5, 2, 3), np.float16) as stream:
        for row in values:
            stream.write(row.data)
    mapped = np.load(tmp_path / "cut.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert mapped.dtype == np.float16
    np.testing.assert_array_equal(mapped, values)


def test_an_interrupted_file_does_not_appear(tmp_path):
    with pytest.raises(KeyboardInterrupt), npy_file(tmp_path / "cut.npy", (2,), np.float16):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


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
    entry = read_manifest(tmp_path)["cuts"]["pixels"]
    train = images[IS_TRAIN].astype(np.float64)
    np.testing.assert_allclose(entry["mean"], train.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(entry["variance"], train.var(axis=(0, 1, 2)))


def test_manifest_of_pixels_is_the_one_that_readers_expect(tmp_path):
    write_pixels(tmp_path, image_set(4, 6), [random_images(5, 4, 6)])
    manifest = read_manifest(tmp_path)
    entry = manifest["cuts"].pop("pixels")
    assert manifest == {
        "base": "none",
        "image_size": None,
        "image_shape": [4, 6],
        "num_images": 5,
        "num_classes": 3,
        "weights_sha256": None,
        "cuts": {},
        "left_out": [],
    }
    assert (entry["file"], entry["shape"], entry["dtype"]) == ("pixels.npy", [4, 6, 1], "uint8")
    assert entry["num_parameters_below"] == 0


def test_manifest_of_a_base_names_its_cuts_and_what_was_left_out(tmp_path):
    cuts = [
        Cut(name=name, shape=shape, num_parameters_below=9, num_parameters_above=1)
        for name, shape in [("block", (2, 2, 4)), ("wide", (8, 8, 4))]
    ]
    moments = Moments(4)
    moments.add(np.arange(8.0).reshape(2, 4))
    write_manifest(
        tmp_path,
        image_set(4, 6),
        {"block": moments},
        base="lite",
        image_size=32,
        weights_sha256="ab" * 32,
        kept=cuts[:1],
        left_out=cuts[1:],
    )
    assert read_manifest(tmp_path) == {
        "base": "lite",
        "image_size": 32,
        "image_shape": [4, 6],
        "num_images": 5,
        "num_classes": 3,
        "weights_sha256": "ab" * 32,
        "cuts": {
            "block": {
                "file": "block.npy",
                "shape": [2, 2, 4],
                "dtype": "float16",
                "mean": [2.0, 3.0, 4.0, 5.0],
                "variance": [4.0] * 4,
                "num_parameters_below": 9,
            }
        },
        "left_out": [{"cut": "wide", "bytes": 5 * 8 * 8 * 4 * 2}],
    }
