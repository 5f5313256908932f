"""The hash of weights depends on them alone."""

import numpy as np
import pytest

from pipeline.models.weights import weights_sha256

pytestmark = pytest.mark.keras


@pytest.fixture
def model():
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])


def test_a_saved_copy_has_the_same_hash(model, tmp_path):
    import keras

    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert weights_sha256(copy) == weights_sha256(model)
    assert len(weights_sha256(model)) == 64


def test_one_changed_value_changes_the_hash(model):
    before = weights_sha256(model)
    weights = model.get_weights()
    weights[2][1, 1] = np.nextafter(weights[2][1, 1], np.float32(9))
    model.set_weights(weights)
    assert weights_sha256(model) != before


def test_the_shape_counts():
    import keras

    hashes = {
        weights_sha256(keras.Sequential([keras.Input((n,)), layer]))
        for n, layer in [
            (2, keras.layers.Dense(3, use_bias=False, kernel_initializer="zeros")),
            (3, keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")),
        ]
    }
    assert len(hashes) == 2
