"""Batches as Python 2 wrote them; and pickles that would run code."""

import os
import pickle
import struct

import numpy as np
import pytest

from pipeline.data.readers.cifar import (
    META,
    TEST_BATCH,
    TRAIN_BATCHES,
    read_batch,
    read_cifar_files,
)
from pipeline.errors import DataIntegrityError


def short(text):
    return b"U" + bytes([len(text)]) + text


def python2_batch(rows, labels):
    """The opcodes of the published batches: byte strings, and an array named as in 2009."""
    content = rows.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
        + short(b"b")
        + b"tR"
        + b"(K\x01"
        + b"J"
        + struct.pack("<i", len(rows))
        + b"M"
        + struct.pack("<H", rows.shape[1])
        + b"\x86cnumpy\ndtype\n("
        + short(b"u1")
        + b"K\x00K\x01tR(K\x03"
        + short(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(content))
        + content
        + b"tb"
    )
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    return b"\x80\x02}(" + short(b"data") + array + short(b"labels") + b"](" + numbers + b"eu."


def rows_of(*first_bytes):
    rows = np.zeros((len(first_bytes), 3072), np.uint8)
    rows[:, 0] = first_bytes  # Red of the first pixel.
    rows[:, 1024 + 32] = 50  # Green of the first pixel of the second row.
    rows[:, 3071] = 60  # Blue of the last pixel.
    return rows


def test_a_batch_of_python_2_is_read_with_its_channels_last(tmp_path):
    (tmp_path / "b").write_bytes(python2_batch(rows_of(1, 2, 3), [9, 0, 4]))
    images, labels = read_batch(tmp_path / "b")
    assert images.shape == (3, 32, 32, 3)
    assert images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert images[0, 1, 0].tolist() == [0, 50, 0]
    assert images[0, 31, 31].tolist() == [0, 0, 60]
    assert images.sum() == 1 + 2 + 3 + 3 * 110
    assert labels.tolist() == [9, 0, 4]


def test_seven_files_become_one_dataset(tmp_path):
    for number, name in enumerate((*TRAIN_BATCHES, TEST_BATCH)):
        (tmp_path / name).write_bytes(python2_batch(rows_of(number, number), [0, 1]))
    names = b"\x80\x02}" + short(b"label_names") + b"](" + short(b"cat") + short(b"dog") + b"es."
    (tmp_path / META).write_bytes(names)
    files = {name: tmp_path / name for name in (*TRAIN_BATCHES, TEST_BATCH, META)}
    data = read_cifar_files(files)
    assert data.class_names == ("cat", "dog")
    assert data.images[:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert data.parts.tolist() == ["train"] * 10 + ["test"] * 2


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return os.mkdir, (self.canary,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, protocol):
    canary = tmp_path / "canary"
    content = pickle.dumps({"data": Malicious(canary)}, protocol)
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(
        DataIntegrityError, match=r"it names (posix|nt)\.mkdir, which no batch needs"
    ):
        read_batch(tmp_path / "b")
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists(), "the pickle must be able to do harm, or this test shows nothing"


@pytest.mark.parametrize(
    "name",
    [
        *("builtins\neval", "builtins\ngetattr", "numpy\nload", "numpy.core.multiarray\nscalar"),
        *("numpy\nndarray.tofile", "__builtin__\nfile"),
    ],
)
def test_only_what_rebuilds_an_array_may_be_named(tmp_path, name):
    (tmp_path / "b").write_bytes(b"\x80\x02c" + name.encode() + b"\n.")
    with pytest.raises(DataIntegrityError, match="which no batch needs"):
        read_batch(tmp_path / "b")


GOOD = python2_batch(rows_of(1, 2), [0, 1])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        GOOD[:-200],
        pickle.dumps([1], 2),
        pickle.dumps({b"labels": [1]}, 2),
        python2_batch(rows_of(1, 2), [0]),
        python2_batch(rows_of(1, 2)[:, :100], [0, 1]),
    ],
    ids=["empty", "html", "cut", "a list", "no data", "too few labels", "other shape"],
)
def test_what_is_no_batch_is_refused(tmp_path, content):
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(DataIntegrityError, match=r"b must (be a batch|hold `data`).*fetch again"):
        read_batch(tmp_path / "b")
