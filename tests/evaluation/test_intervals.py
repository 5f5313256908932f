"""Intervals: exact ends, and how often they hold the truth."""

import math

import numpy as np
import pytest

from pipeline.evaluation.intervals import (
    mean_interval,
    metric_intervals,
    paired_difference,
    wilson_interval,
)
from pipeline.evaluation.metrics import METRICS
from tests.evaluation.made import calibrated


class TestWilsonInterval:
    # Newcombe 1998, Two-sided confidence intervals for the single proportion, table I, method 3.
    @pytest.mark.parametrize(
        ("hits", "n", "low", "high"),
        [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ],
    )
    def test_equals_the_published_table(self, hits, n, low, high):
        interval = wilson_interval(hits, n)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
        assert (interval.value, interval.n) == (hits / n, n)

    def test_ends_exactly_at_zero_and_one(self):
        assert wilson_interval(0, 7).low == 0.0
        assert wilson_interval(7, 7).high == 1.0

    def test_mirrors_when_hits_and_misses_are_swapped(self):
        one, other = wilson_interval(3, 10), wilson_interval(7, 10)
        assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))

    def test_holds_the_truth_in_95_percent_of_draws(self):
        # 4,000 draws of Binomial(200, 0.9). The exact coverage there, summed over all outcomes, is
        # 0.956; 5 standard deviations of its estimate are 0.016: it fails by chance once in 2e6.
        hits = np.random.default_rng(0).binomial(200, 0.9, size=4_000)
        held = [
            wilson_interval(int(h), 200).low <= 0.9 <= wilson_interval(int(h), 200).high
            for h in hits
        ]
        assert np.mean(held) == pytest.approx(0.956, abs=0.016)

    @pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5), (0, 0)])
    def test_refuses_impossible_counts(self, hits, n):
        with pytest.raises(ValueError, match=f"num_hits={hits}, n={n}"):
            wilson_interval(hits, n)


class TestMeanInterval:
    def test_equals_students_by_hand(self):
        # t(0.975, 2 degrees) = 4.302653 in every printed table.
        interval = mean_interval([0.90, 0.92, 0.94])
        half = 4.302653 * 0.02 / math.sqrt(3)
        assert (interval.mean, interval.std) == pytest.approx((0.92, 0.02))
        assert (interval.low, interval.high) == pytest.approx((0.92 - half, 0.92 + half))
        assert interval.n == 3

    def test_one_value_has_no_spread(self):
        interval = mean_interval([0.9])
        assert (interval.mean, interval.n) == (0.9, 1)
        assert (interval.std, interval.low, interval.high) == (None, None, None)

    def test_no_value_is_refused(self):
        with pytest.raises(ValueError, match="at least one value"):
            mean_interval([])

    def test_holds_the_truth_in_95_percent_of_draws(self):
        # 2,000 means of 3 normal values; 5 standard deviations of 0.95 are 0.024: by chance it
        # fails once in 2e6.
        values = np.random.default_rng(1).normal(size=(2_000, 3))
        intervals = [mean_interval(list(row)) for row in values]
        held = np.mean([one.low <= 0 <= one.high for one in intervals])
        assert held == pytest.approx(0.95, abs=0.024)


class TestMetricIntervals:
    def test_every_value_is_the_metrics_and_lies_in_its_interval(self):
        probabilities, labels = calibrated(300, seed=0)
        intervals = metric_intervals(
            sorted(METRICS), probabilities, labels, num_resamples=200, seed=0
        )
        for name, interval in intervals.items():
            assert interval.value == METRICS.get(name)(probabilities, labels)
            assert interval.low <= interval.value <= interval.high
            assert interval.n == 300

    def test_accuracy_has_wilsons(self):
        probabilities, labels = calibrated(300, seed=0)
        found = metric_intervals(["accuracy"], probabilities, labels, num_resamples=100, seed=0)
        hits = int((probabilities.argmax(axis=1) == labels).sum())
        assert found["accuracy"] == wilson_interval(hits, 300)

    def test_log_loss_holds_the_truth_in_95_percent_of_draws(self):
        # The truth: over 200,000 draws of the same kind. 300 draws of n = 200; the percentile
        # bootstrap holds a skewed mean's truth a little less often, 0.932 over 3,000 draws here;
        # 5 standard deviations are 0.073: by chance it fails once in 2e6.
        truth = METRICS.get("log_loss")(*calibrated(200_000, seed=9))
        held = []
        for seed in range(300):
            one = metric_intervals(
                ["log_loss"], *calibrated(200, seed=seed), num_resamples=200, seed=seed
            )["log_loss"]
            held.append(one.low <= truth <= one.high)
        assert np.mean(held) == pytest.approx(0.932, abs=0.073)

    def test_ece_of_a_calibrated_classifier_reaches_down_to_zero(self):
        # What its plug-in estimate shows is noise; percentiles alone would start at 0.028.
        probabilities, labels = calibrated(1_000, seed=0)
        found = metric_intervals(["ece"], probabilities, labels, num_resamples=500, seed=0)["ece"]
        assert found.low < 0.012 < found.value

    def test_are_the_same_for_the_same_seed(self):
        probabilities, labels = calibrated(200, seed=0)
        first, again, other = (
            metric_intervals(["brier"], probabilities, labels, num_resamples=100, seed=seed)
            for seed in (4, 4, 5)
        )
        assert first == again
        assert first != other


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
