"""A segment and a head as one model: the segment always runs as in inference."""

import numpy as np
import pytest

from pipeline.models.heads import build_head
from pipeline.models.segments import cut_segment
from pipeline.models.weights import weights_sha256
from tests.models.small_base import small_base, whole

pytestmark = pytest.mark.keras

FEATURES = np.random.default_rng(0).normal(size=(30, 8, 8, 8)).astype(np.float32)


@pytest.fixture
def head(hyperparameters):
    def build(**changes):
        values = hyperparameters(**{"units": 16, "dropout": "none", **changes})
        return build_head((4, 4, 12), 10, values, mean=[0.5] * 12, variance=[2.0] * 12, seed=3)

    return build


def fine_tuned(head):
    from pipeline.models.fine_tuned import FineTuned

    return FineTuned(cut_segment(small_base(), "stem", whole("block2")), head)


def test_it_computes_the_head_of_the_segment(head):
    trained = head()
    model = fine_tuned(trained)
    expected = trained(model.segment(FEATURES, training=False), training=False)
    np.testing.assert_allclose(model(FEATURES, training=False), expected, rtol=1e-5)


def test_dropout_of_the_base_drops_nothing_while_training(head):
    model = fine_tuned(head())
    training = np.asarray(model(FEATURES, training=True))
    np.testing.assert_array_equal(training, model(FEATURES, training=False))
    # The segment alone, asked to, would drop.
    assert (model.segment(FEATURES, training=True) != model.segment(FEATURES)).numpy().any()


def test_dropout_of_the_head_drops(head):
    model = fine_tuned(head(dropout="all", dropout_rate=0.5))
    training = np.asarray(model(FEATURES, training=True))
    assert (training != np.asarray(model(FEATURES, training=False))).any()


def test_the_head_is_copied(head):
    trained = head()
    before = weights_sha256(trained)
    model = fine_tuned(trained)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert weights_sha256(trained) == before


@pytest.mark.parametrize("activation", ["relu", "rrelu"])
def test_flat_it_computes_the_same_with_keras_own_layers(head, activation, tmp_path):
    import keras

    model = fine_tuned(head(activation=activation, normalization="before", dropout="all"))
    model.flat().save(tmp_path / "flat.keras")
    loaded = keras.models.load_model(tmp_path / "flat.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(FEATURES), model(FEATURES, training=False), rtol=1e-5)
    assert not [layer for layer in loaded.layers if isinstance(layer, keras.Model)]
    assert {type(layer).__module__.partition(".")[0] for layer in loaded.layers} == {"keras"}
    assert weights_sha256(loaded) == weights_sha256(model)
    assert loaded.count_params() == model.count_params()


def test_only_what_is_unfrozen_and_the_head_get_gradients(head):
    model = fine_tuned(head())
    names = [weight.path for weight in model.trainable_variables]
    assert len(names) == 2 * 3 + 2 * 2
    assert not [name for name in names if "bn" in name]
