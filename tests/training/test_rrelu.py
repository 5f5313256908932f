"""The randomized leaky relu: random in training, its mean otherwise."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def slopes(seed, *, size=100_000, training=True):
    from pipeline.training.rrelu import RandomizedLeakyReLU

    layer = RandomizedLeakyReLU(seed=seed)
    return -np.asarray(layer(-np.ones((1, size), np.float32), training=training))[0]


def test_slopes_are_uniform_between_an_eighth_and_a_third_in_training():
    drawn = slopes(1)
    assert drawn.min() >= 0.125
    assert drawn.max() <= 1 / 3 + 1e-6
    # Each of ten equal bins within 6 standard deviations: fails by chance once in 5e7 runs.
    counts, _ = np.histogram(drawn, bins=10, range=(1 / 8, 1 / 3))
    assert np.abs(counts - 10_000).max() < 6 * np.sqrt(100_000 * 0.1 * 0.9)


def test_slope_is_the_mean_outside_training():
    np.testing.assert_allclose(slopes(1, size=5, training=False), 11 / 48, rtol=1e-6)


def test_the_seed_decides_the_slopes():
    np.testing.assert_array_equal(slopes(1, size=9), slopes(1, size=9))
    assert not np.array_equal(slopes(1, size=9), slopes(2, size=9))


def test_each_call_draws_anew():
    from pipeline.training.rrelu import RandomizedLeakyReLU

    layer = RandomizedLeakyReLU(seed=1)
    x = -np.ones((1, 9), np.float32)
    assert not np.array_equal(layer(x, training=True), layer(x, training=True))


def test_positive_values_pass_unchanged_in_training():
    from pipeline.training.rrelu import RandomizedLeakyReLU

    x = np.array([[0.0, 0.5, 3.0]], np.float32)
    np.testing.assert_array_equal(RandomizedLeakyReLU(seed=1)(x, training=True), x)
