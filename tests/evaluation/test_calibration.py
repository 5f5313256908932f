"""The bins of the reliability diagram."""

from itertools import pairwise

import numpy as np
import pytest

from pipeline.evaluation.calibration import calibration_bins
from pipeline.evaluation.metrics import METRICS


def classifier(n=400):
    generator = np.random.default_rng(0)
    return generator.dirichlet(np.ones(4), n), generator.integers(0, 4, n)


def test_fifteen_bins_cover_zero_to_one_without_gaps():
    bins = calibration_bins(*classifier())
    assert len(bins) == 15
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)
    assert all(one.high == other.low for one, other in pairwise(bins))


def test_every_example_is_in_one_bin():
    assert sum(one.n for one in calibration_bins(*classifier())) == 400


def test_the_ece_is_the_weighted_gap_of_the_bins():
    probabilities, labels = classifier()
    gaps = [
        one.n / 400 * abs(one.accuracy - one.confidence)
        for one in calibration_bins(probabilities, labels)
        if one.n
    ]
    assert sum(gaps) == pytest.approx(METRICS.get("ece")(probabilities, labels))


def test_confidence_lies_within_its_bin():
    for one in calibration_bins(*classifier()):
        assert one.confidence is None or one.low < one.confidence <= one.high


def test_a_bin_without_examples_says_so():
    lowest = calibration_bins(*classifier())[0]
    assert (lowest.n, lowest.confidence, lowest.accuracy) == (0, None, None)


def test_sure_and_right_is_the_last_bin():
    last = calibration_bins(np.eye(3), np.arange(3))[-1]
    assert (last.n, last.confidence, last.accuracy) == (3, 1.0, 1.0)
