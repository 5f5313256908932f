"""Files built byte by byte, as LeCun describes them."""

import gzip

import numpy as np
import pytest

from pipeline.data.readers.idx import read_idx, read_mnist_files
from pipeline.errors import DataIntegrityError


def idx(shape, elements):
    head = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    return gzip.compress(head + bytes(elements))


def test_three_images_are_read(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(idx((3, 2, 2), range(12)))
    np.testing.assert_array_equal(read_idx(path), np.arange(12).reshape(3, 2, 2))


def test_four_files_become_one_dataset_with_train_first(tmp_path):
    contents = {
        "train-images-idx3-ubyte.gz": idx((3, 2, 2), range(12)),
        "train-labels-idx1-ubyte.gz": idx((3,), [1, 0, 1]),
        "t10k-images-idx3-ubyte.gz": idx((1, 2, 2), [9] * 4),
        "t10k-labels-idx1-ubyte.gz": idx((1,), [0]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = {name: tmp_path / name for name in contents}
    data = read_mnist_files(files, class_names=("a", "b"))
    assert data.images.shape == (4, 2, 2)
    assert data.images.dtype == np.uint8
    assert data.labels.tolist() == [1, 0, 1, 0]
    assert data.labels.dtype == np.int64
    assert data.parts.tolist() == ["train"] * 3 + ["test"]


@pytest.mark.parametrize(
    "content",
    [
        b"<html>404</html>",
        b"",
        idx((3, 2, 2), range(12))[:-10],
        idx((3, 2, 2), range(11)),
        gzip.compress(b"\0\0\x0d\x01\0\0\0\0"),
        gzip.compress(b"\0\0"),
    ],
    ids=["html", "empty", "cut", "too few elements", "floats", "no header"],
)
def test_what_is_no_idx_file_is_refused(tmp_path, content):
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(DataIntegrityError, match=r"a\.gz must be a gzipped IDX.*fetch again"):
        read_idx(path)
