"""Arrays appear whole; moments added up batch by batch equal those of everything at once."""

import hashlib

import numpy as np
import pytest

from pipeline.features.arrays import ROW_IMAGES, ImageSet, Moments, npy_file, write_row_images

IS_TRAIN = np.array([True, False, True, True, False])
IMAGES = ImageSet(image_shape=(4, 6), num_classes=3, is_train=IS_TRAIN)


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


def test_a_file_says_which_image_each_row_is_of(tmp_path):
    write_row_images(tmp_path, IMAGES.rows(2))
    # Images 0, 2 and 3 are of the train part.
    assert np.load(tmp_path / ROW_IMAGES).tolist() == [0, 1, 2, 3, 4, 0, 2, 3, 0, 2, 3]


def test_statistics_count_images_of_the_train_part_and_no_views():
    assert IMAGES.rows(2).is_counted.tolist() == [*IS_TRAIN, *[False] * 6]
    assert len(IMAGES.rows(0)) == 5


@pytest.mark.parametrize("sizes", [[100], [1, 99], [30, 0, 50, 20]])
def test_batches_give_the_moments_of_the_whole(sizes):
    values = np.random.default_rng(0).normal(5.0, [1.0, 20.0, 0.0], size=(100, 2, 4, 3))
    moments, start = Moments(3), 0
    for size in sizes:
        moments.add(values[start : start + size])
        start += size
    np.testing.assert_allclose(moments.mean, values.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, values.var(axis=(0, 1, 2)), rtol=1e-9, atol=1e-20)


def test_a_mean_far_above_the_deviation_costs_no_digits():
    values = 1e6 + np.random.default_rng(0).normal(0, 1e-2, size=(1000, 1))
    moments = Moments(1)
    for row in values:
        moments.add(row[None])
    np.testing.assert_allclose(moments.variance, values.var(axis=0), rtol=1e-6)


def test_known_moments_merge_like_values():
    values = np.random.default_rng(0).normal(size=(60, 2))
    moments = Moments(2)
    moments.add(values[:20])
    rest = values[20:]
    moments.merge(count=40, mean=rest.mean(axis=0), variance=rest.var(axis=0))
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, values.var(axis=0), rtol=1e-12)


def test_bytes_do_not_overflow():
    moments = Moments(1)
    moments.add(np.full((1000, 1), 255, np.uint8))
    assert moments.mean.tolist() == [255.0]
    assert moments.variance.tolist() == [0.0]


def test_nothing_added_has_no_variance():
    assert Moments(2).variance.tolist() == [0.0, 0.0]


def test_all_positions_of_a_channel_share_what_is_exact_of_their_values():
    rng = np.random.default_rng(0)
    maps = rng.normal(rng.normal(size=(2, 3, 4)), rng.uniform(0.1, 2, (2, 3, 4)), (50, 2, 3, 4))
    vectors = rng.normal(5, 3, (50, 2))
    moments = Moments(26)
    for rows in (slice(30), slice(30, 50)):
        flat = maps[rows].reshape(-1, 24)
        moments.add(np.concatenate([flat, vectors[rows]], axis=1))
    found = moments.shared([(2, 3, 4), (2,)])
    mean = [*np.tile(maps.mean(axis=(0, 1, 2)), 6), *vectors.mean(axis=0)]
    variance = [*np.tile(maps.var(axis=(0, 1, 2)), 6), *vectors.var(axis=0)]
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-12)
    # Each for itself they differ.
    assert np.abs(moments.mean - mean).max() > 0.1
