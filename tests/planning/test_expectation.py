"""Learning curves: what is steeper on a sample is expected to be better on all images."""

import numpy as np
import pytest

from pipeline.planning.expectation import expected_errors
from pipeline.planning.probe import Errors


def errors(of_all, of_quarters, *, num_images=2000):
    is_right = np.arange(num_images) >= round(of_all * num_images)
    return Errors(is_right=is_right, of_quarters=of_quarters)


def test_as_many_images_as_the_sample_change_nothing():
    (found,) = expected_errors([errors(0.2, 0.3)], num_train=2000)
    assert found == pytest.approx(0.2, abs=1e-3)


def test_an_error_that_halves_with_four_times_the_images_goes_on_to():
    (found,) = expected_errors([errors(0.2, 0.4)], num_train=8000)
    assert found == pytest.approx(0.1, rel=0.02)


def test_curves_may_cross():
    flat, steep = errors(0.20, 0.22), errors(0.21, 0.40)
    found = expected_errors([flat, steep], num_train=50_000)
    assert found[1] < found[0]


def test_small_differences_of_slope_are_taken_for_chance():
    # Of 200 images a share of 0.2 is known to 0.03.
    found = expected_errors(
        [errors(0.2, 0.30, num_images=200), errors(0.205, 0.32, num_images=200)], num_train=50_000
    )
    assert found[0] < found[1]


def test_no_errors_at_all_are_no_hindrance():
    (found,) = expected_errors([errors(0.0, 0.0, num_images=100)], num_train=1000)
    assert 0 <= found < 0.01


def test_more_images_never_make_it_worse():
    (found,) = expected_errors([errors(0.3, 0.2)], num_train=50_000)
    assert found == pytest.approx(0.3, abs=1e-3)
