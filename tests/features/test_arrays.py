"""Moments added up batch by batch equal those of everything at once."""

import numpy as np
import pytest

from pipeline.features.arrays import Moments


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
