"""data/raw: written whole, read only if unchanged; and what is no dataset."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.labelled import (
    LabelledImages,
    check_labelled,
    load_raw,
    save_raw,
    undivided,
)
from pipeline.errors import DataIntegrityError

GOOD = LabelledImages(
    images=np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2),
    labels=np.array([0, 1, 0, 1, 0, 1]),
    parts=np.array(["train"] * 4 + ["test"] * 2),
    class_names=("cat", "dog"),
    files={"a.gz": "0" * 64},
)


def test_what_was_saved_is_read_back(tmp_path):
    save_raw(GOOD, tmp_path, dataset="pets")
    name, data = load_raw(tmp_path)
    assert name == "pets"
    assert (data.class_names, data.files) == (GOOD.class_names, GOOD.files)
    for array in ("images", "labels", "parts"):
        np.testing.assert_array_equal(getattr(data, array), getattr(GOOD, array))


def test_images_need_not_fit_into_memory(tmp_path):
    images = np.zeros((2000, 100, 100), np.uint8)
    labels = np.arange(2000) % 2
    save_raw(
        replace(GOOD, images=images, labels=labels, parts=undivided(2000)), tmp_path, dataset="pets"
    )
    tracemalloc.start()
    _, data = load_raw(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 10
    np.testing.assert_array_equal(data.images, images)


def test_manifest_says_what_is_there(tmp_path):
    save_raw(GOOD, tmp_path, dataset="pets")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["parts"] == {"train": 4, "test": 2}
    assert (manifest["image_shape"], manifest["num_images"]) == ([2, 2], 6)


def test_equal_data_gives_equal_bytes(tmp_path):
    for folder in ("a", "b"):
        save_raw(GOOD, tmp_path / folder, dataset="pets")
    for file in ("images.npy", "labels.npy", "parts.npy", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_an_interrupted_save_has_no_manifest(tmp_path):
    save_raw(GOOD, tmp_path, dataset="pets")
    (tmp_path / "labels.npy").unlink()
    (tmp_path / "labels.npy").mkdir()  # Stops the save in its middle.
    with pytest.raises(OSError, match="directory"):
        save_raw(GOOD, tmp_path, dataset="pets")
    assert not (tmp_path / "manifest.json").exists()


def test_a_changed_array_is_refused_with_both_hashes(tmp_path):
    save_raw(GOOD, tmp_path, dataset="pets")
    np.save(tmp_path / "labels.npy", GOOD.labels[::-1])
    with pytest.raises(
        DataIntegrityError, match=r"labels\.npy .*sha256 \w{64}.*sha256=\w{64}.*fetch"
    ):
        load_raw(tmp_path)


def test_a_missing_or_cut_file_is_refused(tmp_path):
    with pytest.raises(DataIntegrityError, match=r"manifest\.json is missing.*pipeline fetch"):
        load_raw(tmp_path)
    save_raw(GOOD, tmp_path, dataset="pets")
    (tmp_path / "images.npy").write_bytes((tmp_path / "images.npy").read_bytes()[:-5])
    with pytest.raises(DataIntegrityError, match="cannot be read"):
        load_raw(tmp_path)


def test_good_data_passes():
    check_labelled(GOOD)
    check_labelled(replace(GOOD, images=np.zeros((6, 2, 3, 3), np.uint8)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": GOOD.images.astype(float)}, r"uint8.*dtype=float64"),
        ({"images": np.zeros((6, 2, 2, 4), np.uint8)}, r"shape=\(6, 2, 2, 4\)"),
        ({"images": np.zeros((0, 2, 2), np.uint8)}, r"shape=\(0, 2, 2\)"),
        ({"labels": GOOD.labels[:5]}, r"one label.*6 images, labels.shape=\(5,\)"),
        ({"parts": undivided(5)}, r"parts.shape=\(5,\)"),
        ({"labels": GOOD.labels.astype(np.int32)}, "int64.*dtype=int32"),
        ({"labels": np.array([0, 1, 2, 1, 2, 1])}, r"0\.\.1.*labels\[2\]=2, and 1 more"),
        ({"labels": np.array([0, 1, 0, -1, 0, 1])}, r"labels\[3\]=-1, and 0 more"),
        ({"labels": np.zeros(6, np.int64), "class_names": ("cat",)}, "two classes.*cat"),
        ({"parts": np.array(["train"] * 5 + ["dev"])}, r"parts\[5\]='dev'"),
        ({"labels": np.array([0, 0, 0, 0, 0, 1])}, "none of dog in the train part"),
    ],
)
def test_bad_data_is_refused_by_name(change, message):
    with pytest.raises(DataIntegrityError, match=message):
        check_labelled(replace(GOOD, **change))
