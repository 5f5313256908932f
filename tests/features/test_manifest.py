"""Feature files open memory-mapped; the manifest comes last and says what there is."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.bases.cuts import Cut
from pipeline.features.arrays import ImageSet, Moments, npy_file, written_array
from pipeline.features.manifest import array_entry, write_manifest, write_pixels

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
    assert stream.sha256 == hashlib.sha256((tmp_path / "cut.npy").read_bytes()).hexdigest()
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
    file = (tmp_path / "pixels.npy").read_bytes()
    assert entry["sha256"] == hashlib.sha256(file).hexdigest()


def write_base(folder, *, views=()):
    cuts = [
        Cut(name=name, shape=shape, num_parameters_below=9, num_parameters_above=1)
        for name, shape in [("block", (2, 2, 4)), ("wide", (8, 8, 4))]
    ]
    cuts[0] = replace(cuts[0], pooling="average")
    moments = Moments(4)
    moments.add(np.arange(8.0).reshape(2, 4))
    array = written_array(moments, "cd" * 32, centre=np.arange(4, dtype=np.float32))
    write_manifest(
        folder,
        image_set(4, 6),
        {"block": array_entry(cuts[0], array, key="ef" * 32)},
        base={
            "base": "lite",
            "source": {"model": "mobilenet"},
            "image_size": 32,
            "weights_sha256": "ab" * 32,
        },
        views=views,
        left_out=cuts[1:],
    )


def test_manifest_of_a_base_names_its_cuts_and_what_was_left_out(tmp_path):
    write_base(tmp_path)
    assert read_manifest(tmp_path) == {
        "base": "lite",
        "source": {"model": "mobilenet"},
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
                "centre": [0.0, 1.0, 2.0, 3.0],
                "num_parameters_below": 9,
                "sha256": "cd" * 32,
                "key": "ef" * 32,
                "pooling": "average",
            }
        },
        "left_out": [{"cut": "wide", "bytes": 5 * 8 * 8 * 4 * 2}],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_manifest_says_which_image_each_row_is_of(tmp_path):
    views = [{"kind": "hflip"}, {"kind": "shift", "number": 0}]
    write_base(tmp_path, views=views)
    manifest = read_manifest(tmp_path)
    assert manifest["views"] == views
    # Images 0, 2 and 3 are of the train part.
    rows = np.load(tmp_path / manifest["row_images"])
    assert rows.tolist() == [0, 1, 2, 3, 4, 0, 2, 3, 0, 2, 3]
    assert manifest["num_rows"] == len(rows)
    assert manifest["left_out"][0]["bytes"] == len(rows) * 8 * 8 * 4 * 2


def test_statistics_count_images_of_the_train_part_and_no_views():
    rows = image_set(4, 6).rows(2)
    assert rows.is_counted.tolist() == [*IS_TRAIN, *[False] * 6]
    assert len(image_set(4, 6).rows(0)) == 5
