"""Confident learning, against the paper's definitions by hand and on labels that were flipped."""

import numpy as np
import pytest

from pipeline.evaluation.label_errors import (
    confident_joint,
    find_suspicious,
    fitted_temperature,
    softmax,
)
from pipeline.evaluation.metrics import log_loss


def made_scores(num_images=3000, *, num_classes=4, sharpness=6.0):
    """Scores whose softmax, times `sharpness`, is what the labels are drawn from."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(num_images, num_classes)) / sharpness * 2
    chances = softmax(sharpness * scores)
    labels = (chances.cumsum(axis=1) > rng.random((num_images, 1))).argmax(axis=1)
    return scores, labels


def test_the_temperature_is_the_one_that_the_labels_were_drawn_with():
    assert fitted_temperature(*made_scores(sharpness=6.0)) == pytest.approx(6.0, rel=0.1)


def test_no_other_temperature_has_less_log_loss():
    scores, labels = made_scores()
    best = fitted_temperature(scores, labels)
    losses = [
        log_loss(softmax(factor * scores), labels) for factor in (0.9 * best, best, 1.1 * best)
    ]
    assert losses[1] == min(losses)


def test_the_confident_joint_by_hand():
    """Thresholds are (0.9 + 0.5 + 0.2) / 3 = 0.533 and (0.6 + 0.8) / 2 = 0.7."""
    of_first = np.array([0.9, 0.5, 0.2, 0.4, 0.2])
    labels = np.array([0, 0, 0, 1, 1])
    joint = confident_joint(np.stack([of_first, 1 - of_first], axis=1), labels)
    # The second image and the fourth are confidently of no class.
    assert joint.tolist() == [[1, 1], [0, 1]]


def test_a_class_without_images_is_confidently_found_nowhere():
    probabilities = np.array([[0.3, 0.1, 0.6], [0.2, 0.1, 0.7], [0.2, 0.7, 0.1]])
    joint = confident_joint(probabilities, np.array([0, 0, 1]))
    assert joint[:, 2].sum() == 0


def test_flipped_labels_are_found_with_their_true_class():
    rng = np.random.default_rng(1)
    true = np.repeat(np.arange(5), 100)
    probabilities = softmax(8 * np.eye(5)[true] + rng.normal(size=(500, 5)))
    labels = true.copy()
    flipped = rng.choice(500, 10, replace=False)
    labels[flipped] = (labels[flipped] + 2) % 5
    found = find_suspicious(probabilities, labels)
    assert sorted(found.rows) == sorted(flipped)
    assert (found.likely == true[found.rows]).all()


def test_the_least_likely_label_comes_first():
    of_first = np.array([0.95, 0.9, 0.1, 0.05, 0.02, 0.3])
    labels = np.array([0, 0, 1, 1, 0, 0])
    found = find_suspicious(np.stack([of_first, 1 - of_first], axis=1), labels)
    assert found.rows.tolist()[0] == 4
    assert (np.diff(of_first[found.rows]) >= 0).all()


def test_where_every_label_is_the_likeliest_nothing_is_suspicious():
    assert not len(find_suspicious(np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 0])).rows)


def test_an_image_whose_label_is_its_likeliest_class_is_never_listed():
    """Though the third is confidently of class 1, of which heads are never sure."""
    probabilities = np.array([[0.95, 0.03, 0.02]] * 2 + [[0.5, 0.45, 0.05]] + [[0.3, 0.4, 0.3]] * 2)
    labels = np.array([0, 0, 0, 1, 1])
    assert confident_joint(probabilities, labels)[0, 1] == 1
    assert not len(find_suspicious(probabilities, labels).rows)
