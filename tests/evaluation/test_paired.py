"""Differences between two classifiers on the same images."""

import numpy as np
import pytest

from pipeline.evaluation.paired import paired_difference
from tests.evaluation.made import calibrated


def test_a_difference_is_zero_against_itself():
    probabilities, labels = calibrated(200, seed=0)
    found = paired_difference(
        "accuracy", probabilities, probabilities, labels, num_resamples=100, seed=0
    )
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_it_changes_its_sign_with_the_order():
    probabilities, labels = calibrated(200, seed=0)
    other = np.roll(probabilities, 1, axis=1)
    one = paired_difference("accuracy", probabilities, other, labels, num_resamples=200, seed=0)
    swapped = paired_difference("accuracy", other, probabilities, labels, num_resamples=200, seed=0)
    assert (one.value, one.low) == pytest.approx((-swapped.value, -swapped.high))


def test_it_is_narrow_when_both_fail_on_the_same_images():
    # 400 images, both wrong on the same 100, and one of them on 4 more: by McNemar's formula
    # the difference has standard deviation sqrt(4)/400 = 0.005, whatever they share.
    labels = np.zeros(400, int)
    first, second = np.zeros((400, 2)), np.zeros((400, 2))
    first[:, 0], second[:, 0] = 1, 1
    first[:100] = second[:104] = (0, 1)
    found = paired_difference("accuracy", first, second, labels, num_resamples=2_000, seed=0)
    assert found.value == pytest.approx(0.01)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.005, rel=0.2)
