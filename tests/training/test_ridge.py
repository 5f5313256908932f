"""Ridge heads judge each image as a head that was fitted to all others does."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Fitted

from pipeline.training.ridge import held_out, kernel, left_out


@pytest.fixture
def sample():
    """60 images of three classes, whose features overlap."""
    random = np.random.default_rng(3)
    labels = np.arange(60) % 3
    return random.normal(size=(60, 80)) + 0.8 * np.eye(3, 80)[labels], labels


def standardized(features):
    return (features - features.mean(axis=0)) / features.std(axis=0)


@pytest.mark.parametrize("num_features", [5, 80])
@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_they_equal_fits_to_all_but_one_image(sample, num_features, penalty):
    features, labels = standardized(sample[0])[:, :num_features], sample[1]
    alpha = penalty * num_features * len(labels) / 100
    expected = []
    for image in range(len(labels)):
        others = np.arange(len(labels)) != image
        fitted = Fitted(alpha=alpha).fit(features[others], np.eye(3)[labels[others]])
        expected.append(fitted.predict(features[[image]]).argmax() == labels[image])
    found = left_out(kernel(features.astype(np.float32)), labels, penalties=[penalty])
    assert 0.2 < found.mean() < 0.8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("num_features", [5, 80])
def test_some_images_may_be_judged_by_a_fit_to_others(sample, num_features):
    features, labels = standardized(sample[0])[:, :num_features], sample[1]
    fit, judged = np.arange(40), np.arange(40, 60)
    # The penalty is a share of the trace, here of the forty images' own deviations.
    centred = features[fit] - features[fit].mean(axis=0)
    alpha = 0.1 * np.square(centred).sum() / 100
    fitted = Fitted(alpha=alpha).fit(features[fit], np.eye(3)[labels[fit]])
    expected = fitted.predict(features[judged]).argmax(axis=1) == labels[judged]
    products = kernel(features.astype(np.float32))
    found = held_out(products, labels, fit=fit, judged=judged, penalties=[0.1])
    assert 0 < found.mean() < 1
    np.testing.assert_array_equal(found, expected)


def test_side_by_side_is_the_sum(sample):
    features = sample[0].astype(np.float32)
    parts = kernel(features[:, :5]) + kernel(features[:, 5:])
    np.testing.assert_allclose(parts, kernel(features), rtol=1e-4, atol=1e-3)


def test_channels_are_standardized_over_images_and_positions(sample):
    random = np.random.default_rng(5)
    maps = random.normal(size=(60, 2, 2, 4)).astype(np.float32)
    scaled = maps * [3, 1, 0.3, 5] + [5, -3, 0, 100]
    np.testing.assert_allclose(
        kernel(scaled.astype(np.float32)), kernel(maps), rtol=1e-2, atol=0.05
    )


def test_a_constant_channel_is_none(sample):
    features = sample[0].astype(np.float32)
    constant = np.concatenate([features, np.full((60, 1), 7, np.float32)], axis=1)
    np.testing.assert_allclose(kernel(constant), kernel(features), rtol=1e-4, atol=1e-3)


def test_the_penalty_with_the_fewest_errors_is_taken(sample):
    products = kernel(sample[0].astype(np.float32))
    each = {
        p: left_out(products, sample[1], penalties=[p]).mean() for p in (1e-4, 1e-2, 1.0, 100.0)
    }
    assert len(set(each.values())) > 1
    assert left_out(products, sample[1], penalties=list(each)).mean() == max(each.values())
