"""Scores of single classes, and the mistakes that are shown."""

import numpy as np

from pipeline.evaluation.classes import class_scores, most_confident_mistakes, most_confused
from pipeline.evaluation.metrics import confusion_counts

COUNTS = np.array([[8, 2, 0], [1, 4, 0], [0, 0, 0]])


def test_scores_equal_scikit_learns():
    import sklearn.metrics as sklearn_metrics

    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, 5, 300), generator.integers(0, 5, 300)
    found = class_scores(confusion_counts(labels, predicted, num_classes=5))
    expected = np.array(sklearn_metrics.precision_recall_fscore_support(labels, predicted)).T
    np.testing.assert_allclose([[s.precision, s.recall, s.f1, s.n] for s in found], expected)


def test_a_class_that_never_occurs_has_no_scores():
    absent = class_scores(COUNTS)[2]
    assert (absent.precision, absent.recall, absent.f1, absent.n) == (None, None, None, 0)


def test_a_class_that_occurs_but_is_never_predicted_has_no_precision():
    never = class_scores(np.array([[3, 0], [2, 0]]))[1]
    assert (never.precision, never.recall, never.f1, never.n) == (None, 0.0, 0.0, 2)


def test_the_most_frequent_mistake_comes_first():
    found = [(m.actual, m.predicted, m.count, m.share) for m in most_confused(COUNTS, limit=9)]
    assert found == [(0, 1, 2, 0.2), (1, 0, 1, 0.2)]


def test_no_more_mistakes_than_asked_for_and_the_counts_stay():
    before = COUNTS.copy()
    assert len(most_confused(COUNTS, limit=1)) == 1
    np.testing.assert_array_equal(COUNTS, before)


def test_the_surest_mistake_comes_first_and_right_answers_never():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.99, 0.01], [0.0, 1.0]])
    found = most_confident_mistakes(probabilities, np.array([1, 0, 1, 1]), limit=2)
    assert found.tolist() == [2, 0]


def test_equally_sure_mistakes_keep_their_order():
    probabilities = np.tile([0.2, 0.8], (50, 1))
    found = most_confident_mistakes(probabilities, np.zeros(50, int), limit=10)
    assert found.tolist() == list(range(10))


def test_a_perfect_classifier_has_no_mistakes():
    assert most_confident_mistakes(np.eye(3), np.arange(3), limit=24).shape == (0,)
