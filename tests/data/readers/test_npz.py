"""Users' own arrays: two spellings, and what is wrong with the others."""

import os

import numpy as np
import pytest

from pipeline.data.labelled import check_labelled
from pipeline.data.readers.npz import read_npz
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file

IMAGES = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
LABELS = np.array([0, 1, 1, 0])


def save(folder, **arrays):
    np.savez(folder / "images.npz", **arrays)
    return folder


def test_images_and_labels_of_a_folder(tmp_path):
    data = read_npz(save(tmp_path, images=IMAGES, labels=LABELS.astype(np.uint8)))
    check_labelled(data)
    np.testing.assert_array_equal(data.images, IMAGES)
    assert data.labels.tolist() == [0, 1, 1, 0]
    assert data.class_names == ("0", "1")
    assert set(data.parts) == {"train"}
    assert data.files == {"images.npz": sha256_file(tmp_path / "images.npz")}


def test_arrays_as_keras_datasets_have_them(tmp_path):
    save(
        tmp_path,
        x_train=np.zeros((4, 2, 2, 3), np.uint8),
        y_train=LABELS[:, None],
        x_test=np.ones((2, 2, 2, 3), np.uint8),
        y_test=LABELS[:2, None],
    )
    data = read_npz(tmp_path / "images.npz")
    check_labelled(data)
    assert data.parts.tolist() == ["train"] * 4 + ["test"] * 2
    assert data.labels.tolist() == [0, 1, 1, 0, 0, 1]
    assert data.images[:, 0, 0, 0].tolist() == [0, 0, 0, 0, 1, 1]


def test_a_val_part_is_kept(tmp_path):
    parts = {f"x_{part}": IMAGES for part in ("train", "val", "test")}
    labels = {f"y_{part}": LABELS for part in ("train", "val", "test")}
    data = read_npz(save(tmp_path, **parts, **labels))
    assert data.parts.tolist() == ["train"] * 4 + ["val"] * 4 + ["test"] * 4


def test_one_channel_is_gray(tmp_path):
    data = read_npz(save(tmp_path, images=IMAGES[..., None], labels=LABELS))
    np.testing.assert_array_equal(data.images, IMAGES)


def test_class_names_are_taken(tmp_path):
    save(tmp_path, images=IMAGES, labels=LABELS, class_names=np.array(["cat", "dog"]))
    assert read_npz(tmp_path).class_names == ("cat", "dog")


ONE_NAN = IMAGES.astype(np.float32)
ONE_NAN[2, 1, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": IMAGES / 255},
            r"`images` must be uint8.*float64, values of 0 to 0\.09\d+\. Conv.*\* 255",
        ),
        ({"images": ONE_NAN}, r"1 values that are no numbers, the first at \[2, 1, 0\]"),
        ({"images": IMAGES.astype(np.int64)}, r"dtype=int64, values of 0 to 23.*astype\('uint8'\)"),
        ({"images": IMAGES.astype(bool)}, "dtype=bool"),
        ({"images": IMAGES.reshape(4, 6)}, r"shape=\(4, 6\)"),
        ({"images": np.zeros((4, 2, 2, 4), np.uint8)}, r"shape=\(4, 2, 2, 4\)"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"shape=\(0, 2, 3\)"),
        ({"labels": LABELS[:3]}, r"each of 4 images. Received: shape=\(3,\)\.$"),
        ({"labels": np.eye(2, dtype=int)[LABELS]}, r"shape=\(4, 2\)\. Convert one-hot.*argmax"),
        ({"labels": LABELS.astype(float)}, r"also where floats are whole.*float64\. .*'int64'"),
        ({"labels": np.array([0, 1, 1.5, 0])}, r"float64, labels\[2\]=1\.5"),
        ({"labels": np.array([0, np.nan, 1, 0])}, r"labels\[1\]=nan"),
        ({"labels": np.array(["a", "b", "b", "a"])}, r"must be integers.*dtype=<U1"),
        ({"labels": np.array([0, 1, -2, 0])}, r"from 0, .*labels\[2\]=-2"),
        ({"labels": np.array([0, 10**9, 1, 0])}, r"labels\[1\]=1000000000"),
        ({"labels": np.array([0, 2, 2, 0])}, r"Received: none of 1 in the train part"),
        ({"labels": np.zeros(4, int)}, r"at least two classes"),
        ({"class_names": np.array(["cat"])}, r"0\.\.0|two classes"),
        ({"class_names": np.array(["cat", "cat"])}, "different strings"),
        ({"extra": LABELS}, r"nothing else. Received: extra, images, labels"),
    ],
)
def test_what_no_stage_could_use_is_refused(tmp_path, change, message):
    save(tmp_path, **{"images": IMAGES, "labels": LABELS, **change})
    with pytest.raises(DataIntegrityError, match=message):
        check_labelled(read_npz(tmp_path))


def test_parts_of_different_shapes_are_refused(tmp_path):
    save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:, :1], y_test=LABELS)
    with pytest.raises(DataIntegrityError, match=r"x_train.shape=\(4, 2, 3\), x_test.shape=\(4, 1"):
        read_npz(tmp_path)


@pytest.mark.parametrize("arrays", [{"images": IMAGES}, {"x_test": IMAGES, "y_test": LABELS}, {}])
def test_missing_arrays_are_named_with_what_is_there(tmp_path, arrays):
    listed = ", ".join(sorted(arrays)) or "nothing"
    with pytest.raises(DataIntegrityError, match=rf"must hold `images`.*Received: {listed}\."):
        read_npz(save(tmp_path, **arrays))


def test_no_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"or a folder with images\.npz. Received: no .*images"):
        read_npz(tmp_path)
    with pytest.raises(ConfigError, match=r"Received: no .*other\.npz"):
        read_npz(tmp_path / "other.npz")


class Malicious:
    """Creates a folder when it is unpickled."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return os.mkdir, (self.canary,)


def test_python_objects_are_refused_and_not_built(tmp_path):
    canary = tmp_path / "canary"
    save(tmp_path, images=IMAGES, labels=np.array([Malicious(canary)], dtype=object))
    with pytest.raises(DataIntegrityError, match=r"plain arrays. Received: Python objects"):
        read_npz(tmp_path)
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "npy", "flipped"])
def test_what_is_no_npz_file_is_refused(tmp_path, kind):
    path = save(tmp_path, images=np.zeros((50, 9, 9), np.uint8), labels=LABELS) / "images.npz"
    whole = path.read_bytes()
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, IMAGES)
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes(
            {"empty": b"", "text": b"hello", "cut": whole[:-50], "flipped": flipped}[kind]
        )
    with pytest.raises(DataIntegrityError, match=r"images\.npz must be an \.npz file of plain"):
        read_npz(tmp_path)
