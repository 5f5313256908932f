"""Probabilities of rows of an array, in bounded batches."""

from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.keras


@pytest.fixture
def model(build):
    return build()


def test_rows_come_back_in_the_order_asked_for(model, blobs):
    from pipeline.training.steps import Predictor

    rows = np.array([7, 3, 100])
    expected = model(blobs.features[rows].astype(np.float32)).numpy()
    np.testing.assert_allclose(Predictor(model)(blobs, rows), expected, rtol=1e-5)


def test_the_centre_is_added_to_what_is_stored(model, blobs):
    from pipeline.training.steps import Predictor

    centre = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    rows = np.array([7, 3, 100])
    expected = model(blobs.features[rows].astype(np.float32) + centre).numpy()
    found = Predictor(model)(replace(blobs, centre=centre), rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("num_rows", [1, 16, 17, 40])
def test_the_size_of_a_batch_changes_nothing(model, blobs, monkeypatch, num_rows):
    from pipeline.training import steps as predictions

    rows = np.arange(num_rows)
    whole = predictions.Predictor(model)(blobs, rows)
    monkeypatch.setattr(predictions, "MAX_BATCH_BYTES", 16 * 4 * 4)  # 16 rows of 4 float32.
    np.testing.assert_allclose(predictions.Predictor(model)(blobs, rows), whole, rtol=1e-5)


def test_new_weights_give_new_answers(model, blobs):
    from pipeline.training.steps import Predictor

    predictor = Predictor(model)
    before = predictor(blobs, blobs.val)
    model.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    assert predictor(blobs, blobs.val) == pytest.approx(1 / 3)
    assert not np.allclose(before, 1 / 3)


def test_dropout_is_off(build, blobs):
    from pipeline.training.steps import Predictor

    predictor = Predictor(build(dropout=0.5))
    first, again = (predictor(blobs, blobs.val) for _ in range(2))
    np.testing.assert_array_equal(first, again)
