"""Folds keep classes even and copies together; heads are those of a plain ridge regression."""

import numpy as np
import pytest

from pipeline.review.folds import out_of_fold_scores, stratified_folds


def test_every_class_is_spread_evenly():
    labels = np.repeat([0, 1, 2], [50, 23, 7])
    folds = stratified_folds(labels, np.arange(80), seed=0)
    for label in range(3):
        counts = np.bincount(folds[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_copies_are_in_one_fold():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 30, 200)
    folds = stratified_folds(rng.integers(0, 4, 200), groups, seed=0)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))


def test_another_seed_gives_other_folds_and_the_same_one_the_same():
    labels, groups = np.zeros(50, int), np.arange(50)
    first, again, other = (stratified_folds(labels, groups, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def ridge(features, labels, *, penalty, num_classes):
    """The head of some images by the normal equations, with an intercept that is not penalized."""
    mean, targets = features.mean(axis=0), np.eye(num_classes)[labels]
    centred = features - mean
    scatter = centred.T @ centred
    size = penalty * np.trace(scatter) / 100
    weights = np.linalg.solve(scatter + size * np.eye(len(mean)), centred.T @ targets)
    return weights, targets.mean(axis=0) - mean @ weights


def test_scores_are_those_of_heads_fitted_to_the_other_folds():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(90, 6)).astype(np.float32), rng.integers(0, 3, 90)
    folds = stratified_folds(labels, np.arange(90), seed=0)
    scores = out_of_fold_scores(features, labels, folds, num_classes=3, penalties=(0.5,))
    for fold in range(5):
        weights, intercept = ridge(
            features[folds != fold].astype(float), labels[folds != fold], penalty=0.5, num_classes=3
        )
        expected = features[folds == fold] @ weights + intercept
        np.testing.assert_allclose(scores[folds == fold], expected, atol=1e-4)


def test_an_image_does_not_vouch_for_its_own_label():
    """Labels that nothing tells are no better than chance, where a fit would know each."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(100, 90)).astype(np.float32), np.repeat([0, 1], 50)
    folds = stratified_folds(labels, np.arange(100), seed=0)
    scores = out_of_fold_scores(features, labels, folds, num_classes=2)
    assert (scores.argmax(axis=1) == labels).mean() < 0.7


@pytest.mark.parametrize("is_noise", [True, False])
def test_the_penalty_with_the_fewest_errors_is_taken(is_noise):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    features = rng.normal(size=(120, 100)).astype(np.float32)
    features[:, 0] += (4 if is_noise else 40) * labels
    folds = stratified_folds(labels, np.arange(120), seed=0)

    def num_right(penalties):
        scores = out_of_fold_scores(features, labels, folds, num_classes=2, penalties=penalties)
        return (scores.argmax(axis=1) == labels).sum()

    penalties = (1e-4, 1.0, 10.0)
    assert num_right(penalties) == max(num_right([one]) for one in penalties)
