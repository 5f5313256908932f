"""Contract of every metric, the exact values of each, and what an objective is."""

import math
import time
from itertools import pairwise

import numpy as np
import pytest

from pipeline.evaluation.metrics import (
    METRICS,
    calibration_bins,
    classification_metrics,
    confusion_counts,
)
from pipeline.evaluation.objectives import OBJECTIVES

HIGHER_IS_BETTER = {"accuracy", "macro_f1"}


def random_classifier(n=500, num_classes=7, seed=0):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(num_classes, 0.3), n).astype(np.float32)
    return probabilities, generator.integers(0, num_classes, n)


@pytest.mark.parametrize("name", sorted(METRICS))
class TestEveryMetric:
    def test_is_one_or_zero_for_perfect_answers(self, name):
        labels = np.arange(10) % 4
        best = 1.0 if name in HIGHER_IS_BETTER else 0.0
        assert METRICS.get(name)(np.eye(4)[labels], labels) == best

    def test_is_at_its_worst_for_sure_and_wrong_answers(self, name):
        labels = np.arange(12) % 4
        worst = {"accuracy": 0, "macro_f1": 0, "log_loss": -math.log(1e-7), "ece": 1, "brier": 2}
        assert METRICS.get(name)(np.eye(4)[(labels + 1) % 4], labels) == pytest.approx(worst[name])

    def test_does_not_depend_on_the_order_of_the_examples(self, name):
        probabilities, labels = random_classifier()
        order = np.random.default_rng(1).permutation(len(labels))
        expected = METRICS.get(name)(probabilities, labels)
        assert METRICS.get(name)(probabilities[order], labels[order]) == pytest.approx(expected)

    def test_does_not_depend_on_the_order_of_the_classes(self, name):
        probabilities, labels = random_classifier()
        order = np.random.default_rng(2).permutation(7)
        expected = METRICS.get(name)(probabilities, labels)
        renamed = METRICS.get(name)(probabilities[:, order], np.argsort(order)[labels])
        assert renamed == pytest.approx(expected)

    def test_accepts_one_example(self, name):
        assert math.isfinite(METRICS.get(name)(np.array([[0.2, 0.8]]), np.array([1])))

    def test_leaves_its_arguments_as_they_are(self, name):
        probabilities, labels = random_classifier()
        kept = probabilities.copy()
        METRICS.get(name)(probabilities, labels)
        np.testing.assert_array_equal(probabilities, kept)

    def test_refuses_no_examples(self, name):
        with pytest.raises(ValueError, match=r"n >= 1. Received: shapes \(0, 3\) and \(0,\)"):
            METRICS.get(name)(np.empty((0, 3)), np.empty(0, int))

    def test_refuses_labels_that_are_no_class(self, name):
        with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\). .*from -1 to 3"):
            METRICS.get(name)(np.full((2, 3), 1 / 3), np.array([-1, 3]))


def test_values_equal_scikit_learns():
    import sklearn.metrics as sklearn_metrics

    probabilities, labels = random_classifier()
    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    clipped = np.clip(probabilities, 1e-7, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "log_loss": sklearn_metrics.log_loss(labels, clipped),
        "macro_f1": sklearn_metrics.f1_score(labels, predicted, average="macro"),
        "brier": sklearn_metrics.brier_score_loss(labels, probabilities, scale_by_half=False),
    }
    values = {name: METRICS.get(name)(probabilities, labels) for name in expected}
    # scikit-learn wants the clipped rows to sum to 1, which moves the loss in the sixth digit.
    assert values == pytest.approx(expected, rel=1e-5)


def test_macro_f1_leaves_out_a_class_that_neither_occurs_nor_is_predicted():
    import sklearn.metrics as sklearn_metrics

    labels, predicted = np.array([0, 0, 1, 3]), np.array([0, 1, 1, 1])
    expected = sklearn_metrics.f1_score(labels, predicted, average="macro")
    assert METRICS.get("macro_f1")(np.eye(5)[predicted], labels) == pytest.approx(expected)


def test_ece_of_three_hand_computed_bins():
    # Bin (5/15, 6/15]: sure to 0.4, one of two right. Bin (8/15, 9/15]: 0.6, both right.
    # Bin (14/15, 1]: 1.0, one of four right.
    confident = [0.4, 0.4, 0.6, 0.6, 1.0, 1.0, 1.0, 1.0]
    probabilities = np.array([[c, *[(1 - c) / 3] * 3] for c in confident])
    labels = np.array([0, 1, 0, 0, 0, 1, 2, 3])
    expected = (2 * abs(0.5 - 0.4) + 2 * abs(1.0 - 0.6) + 4 * abs(0.25 - 1.0)) / 8
    assert METRICS.get("ece")(probabilities, labels) == pytest.approx(expected)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    # 1/3 and 0.34 fall to both sides of the edge 5/15: their gaps must not cancel.
    probabilities = np.array([[1 / 3, 1 / 3, 1 / 3], [0.34, 0.33, 0.33]])
    gaps = [1 - 1 / 3, 0 - 0.34]
    expected = (abs(gaps[0]) + abs(gaps[1])) / 2
    assert METRICS.get("ece")(probabilities, np.array([0, 1])) == pytest.approx(expected)


def test_brier_of_one_hand_computed_example():
    value = METRICS.get("brier")(np.array([[0.7, 0.2, 0.1]]), np.array([1]))
    assert value == pytest.approx(0.7**2 + 0.8**2 + 0.1**2)


class TestClassificationMetrics:
    def test_equal_the_registered_metrics(self):
        probabilities, labels = random_classifier()
        assert classification_metrics(probabilities, labels) == {
            "accuracy": METRICS.get("accuracy")(probabilities, labels),
            "loss": METRICS.get("log_loss")(probabilities, labels),
            "macro_f1": METRICS.get("macro_f1")(probabilities, labels),
        }

    def test_take_under_two_milliseconds_for_5000_images_of_10_classes(self):
        probabilities, labels = random_classifier(n=5_000, num_classes=10)
        seconds = []
        for _ in range(20):
            start = time.process_time()
            classification_metrics(probabilities, labels)
            seconds.append(time.process_time() - start)
        # The fastest of 20: a busy machine slows some, slow code slows all. Measured 0.12 ms.
        assert min(seconds) < 0.002

    def test_loss_of_a_sure_wrong_answer_is_finite(self):
        loss = classification_metrics(np.eye(2, dtype=np.float32), np.array([1, 0]))["loss"]
        assert loss == pytest.approx(-math.log(1e-7))

    def test_loss_of_a_diverged_model_is_nan(self):
        assert math.isnan(classification_metrics(np.full((3, 2), np.nan), np.zeros(3, int))["loss"])

    def test_counts_do_not_overflow_with_small_label_types(self):
        labels = np.repeat(np.arange(200), 2).astype(np.uint8)
        assert classification_metrics(np.eye(200)[labels], labels)["macro_f1"] == 1.0


def test_confusion_counts_have_labels_as_rows():
    counts = confusion_counts(np.array([0, 0, 1]), np.array([1, 1, 1]), num_classes=3)
    assert counts.tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


class TestObjectives:
    def test_are_the_three_of_the_design(self):
        written = {name: (spec.metric, spec.direction) for name, spec in OBJECTIVES.items()}
        assert written == {
            "val_accuracy": ("val_accuracy", "maximize"),
            "val_log_loss": ("val_loss", "minimize"),
            "val_macro_f1": ("val_macro_f1", "maximize"),
        }

    def test_name_the_same_measure_on_another_part(self):
        names = {spec.metric_on("confirmation") for spec in OBJECTIVES.values()}
        assert names == {"confirmation_accuracy", "confirmation_loss", "confirmation_macro_f1"}

    @pytest.mark.parametrize("name", sorted(OBJECTIVES))
    def test_measure_is_among_the_classification_metrics(self, name):
        measured = classification_metrics(np.eye(2), np.array([0, 1]))
        assert OBJECTIVES[name].measure in measured

    @pytest.mark.parametrize(("name", "better"), [("val_accuracy", 0.9), ("val_log_loss", 0.1)])
    def test_better_follows_the_direction(self, name, better):
        spec = OBJECTIVES[name]
        assert spec.is_better(better, 0.5)
        assert not spec.is_better(0.5, better)
        assert not spec.is_better(0.5, 0.5)

    @pytest.mark.parametrize("name", sorted(OBJECTIVES))
    def test_nan_is_worse_than_any_number(self, name):
        spec = OBJECTIVES[name]
        assert spec.is_better(0.5, math.nan)
        assert not spec.is_better(math.nan, 0.5)
        assert not spec.is_better(math.nan, math.nan)

    @pytest.mark.parametrize("name", sorted(OBJECTIVES))
    def test_every_number_beats_the_worst(self, name):
        assert all(OBJECTIVES[name].is_better(v, OBJECTIVES[name].worst) for v in (0.0, 1e9, -1e9))


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
