"""Rows of an .npz come in order, a batch at a time."""

import tracemalloc

import numpy as np
import pytest

from pipeline.data.rows import (
    chosen_images,
    evenly,
    part_images,
    row_batches,
    row_shape,
    whole_array,
    write_rows,
)
from pipeline.errors import DataIntegrityError
from pipeline.files import sha256_arrays


@pytest.fixture
def images(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (10, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "train.npz", images=values, labels=np.arange(10))
    return tmp_path / "train.npz", values


@pytest.mark.parametrize("batch_size", [1, 3, 10, 99])
def test_batches_are_the_array(images, batch_size):
    file, values = images
    batches = list(row_batches(file, "images", batch_size=batch_size))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    np.testing.assert_array_equal(np.concatenate(batches), values)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 99])
def test_the_images_of_a_part_are_its_rows_in_order(tmp_path, images, batch_size):
    _, values = images
    rows = np.array([0, 3, 4, 5, 8, 9])
    np.savez(tmp_path / "train.npz", images=values, val=rows)
    batches = list(part_images(tmp_path / "train.npz", "val", batch_size=batch_size))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    np.testing.assert_array_equal(np.concatenate(batches), values[rows])


def test_of_a_large_part_some_images_are_read_that_are_evenly_apart(tmp_path, images):
    _, values = images
    rows = np.array([0, 3, 4, 5, 8, 9])
    np.savez(tmp_path / "train.npz", images=values, val=rows)
    for most, places in ((3, [0, 2, 5]), (6, range(6)), (99, range(6))):
        batches = part_images(tmp_path / "train.npz", "val", batch_size=2, most=most)
        np.testing.assert_array_equal(np.concatenate(list(batches)), values[rows[list(places)]])
        assert evenly(len(rows), most).tolist() == list(places)


def test_an_array_is_read_whole_and_a_changed_byte_of_it_is_said(images):
    file, _ = images
    np.testing.assert_array_equal(whole_array(file, "labels"), np.arange(10))
    content = file.read_bytes()
    nine = np.int64(9).tobytes()
    assert content.count(nine) == 1
    file.write_bytes(content.replace(nine, np.int64(8).tobytes()))
    with pytest.raises(DataIntegrityError, match=r"must hold a whole array 'labels'.*CRC"):
        whole_array(file, "labels")


@pytest.mark.parametrize("shape", [(9, 4), (9, 4, 3)])
def test_written_rows_are_what_savez_writes(tmp_path, shape):
    images = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    rows = np.array([0, 3, 4, 11, 19])
    others = {"labels": rows % 3, "val": np.array([], np.int64)}
    digest = write_rows(tmp_path / "rows.npz", images, rows, others)
    np.savez(tmp_path / "all.npz", images=images[rows], **others)
    assert (tmp_path / "rows.npz").read_bytes() == (tmp_path / "all.npz").read_bytes()
    assert digest == sha256_arrays(images[rows], *others.values())


def test_rows_are_written_in_bounded_memory(tmp_path):
    """128 MB of a file that is mapped, some of them at a time."""
    images = np.memmap(tmp_path / "images", np.uint8, "w+", shape=(2000, 64_000))
    images[::7] = 9
    tracemalloc.start()
    write_rows(tmp_path / "rows.npz", images, np.arange(2000), {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 3
    written = np.concatenate(list(row_batches(tmp_path / "rows.npz", "images", batch_size=500)))
    np.testing.assert_array_equal(written, images)


def test_some_images_come_in_the_order_of_their_rows(images):
    file, values = images
    rows = np.array([7, 0, 9])
    np.testing.assert_array_equal(chosen_images(file, rows), values[rows])
    assert chosen_images(file, rows[:0]).shape == (0, 4, 3)


def test_for_some_images_not_all_are_held_in_memory(tmp_path):
    images = np.zeros((6000, 128, 128), np.uint8)
    images[5999] = 1
    np.savez(tmp_path / "train.npz", images=images)
    tracemalloc.start()
    found = chosen_images(tmp_path / "train.npz", np.array([5999, 0]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.mean(axis=(1, 2)).tolist() == [1, 0]
    assert peak < images.nbytes / 2


def test_other_types_keep_theirs(images):
    (batch,) = row_batches(images[0], "labels", batch_size=10)
    assert batch.dtype == np.int64
    np.testing.assert_array_equal(batch, np.arange(10))


def test_shape_is_known_before_anything_is_read(images):
    assert row_shape(images[0], "images") == (10, 4, 3)


def test_only_a_batch_is_in_memory(tmp_path):
    np.savez(tmp_path / "train.npz", images=np.zeros((400, 100, 100), np.uint8))
    tracemalloc.start()
    for _ in row_batches(tmp_path / "train.npz", "images", batch_size=10):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_an_absent_array_is_named(images):
    with pytest.raises(DataIntegrityError, match=r"train\.npz must hold a whole array 'pixels'"):
        list(row_batches(images[0], "pixels", batch_size=4))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataIntegrityError, match=r"absent\.npz .*Run: dvc repro split"):
        row_shape(tmp_path / "absent.npz", "images")


def test_a_cut_file_is_refused(images):
    file, _ = images
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataIntegrityError, match="must hold a whole array 'images'"):
        list(row_batches(file, "images", batch_size=4))


def test_a_changed_byte_is_refused(images):
    file, values = images
    content = bytearray(file.read_bytes())
    place = content.index(values.tobytes())
    content[place + 5] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataIntegrityError, match=r"must hold a whole array 'images'.*CRC"):
        list(row_batches(file, "images", batch_size=4))


def test_columns_first_is_refused(tmp_path):
    np.savez(tmp_path / "train.npz", images=np.asfortranarray(np.ones((4, 3))))
    with pytest.raises(DataIntegrityError, match="in another order"):
        list(row_batches(tmp_path / "train.npz", "images", batch_size=4))
