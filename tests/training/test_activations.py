"""Contract of every activation, then the exact curve of each."""

import math

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.training.activations import (
    ACTIVATIONS,
    INITIALIZER_FAMILIES,
    Settings,
)

pytestmark = pytest.mark.keras

X = np.linspace(-6.0, 6.0, 49, dtype=np.float32)
ERF = np.vectorize(math.erf)

# Written apart from the layers, in float64, on positive and negative halves where they differ.
REFERENCES = {
    "relu": lambda x: np.clip(x, 0, None),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "prelu": lambda x: np.where(x < 0, 0.25 * x, x),
    "rrelu": lambda x: np.where(x < 0, x * 11 / 48, x),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "selu": lambda x: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: np.exp(x) / (1 + np.exp(x)),
    "gelu": lambda x: x * (1 + ERF(x / np.sqrt(2))) / 2,
}


@pytest.fixture
def build(params_document):
    """Makes an activation's layer with the defaults of params.yaml, but for some changes."""

    def make_layer(name, *, seed=0, layer_name=None, **changes):
        values = {**params_document["defaults"], **changes}
        settings = Settings(hyperparameters=values, seed=seed, name=layer_name)
        return ACTIVATIONS.get(name)(settings)

    return make_layer


@pytest.fixture
def call(build):
    return lambda name, x, **changes: np.asarray(build(name, **changes)(x))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
class TestEveryActivation:
    def test_equals_its_reference_outside_training(self, name, call):
        expected = REFERENCES[name](X.astype(np.float64))
        np.testing.assert_allclose(call(name, X[:, None])[:, 0], expected, rtol=2e-5, atol=2e-6)

    def test_keeps_shape_and_type(self, name, call):
        for shape in [(3, 5), (2, 4, 4, 3)]:
            output = call(name, np.ones(shape, np.float32))
            assert output.shape == shape
            assert output.dtype == np.float32

    def test_value_and_gradient_are_finite_everywhere(self, name, build):
        import tensorflow as tf

        x = tf.constant([[-1e4], [-88.0], [-1.0], [0.0], [1.0], [88.0], [1e4]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = build(name)(x)
        assert np.isfinite(y.numpy()).all()
        assert np.isfinite(tape.gradient(y, x).numpy()).all()

    def test_survives_saving(self, name, build, tmp_path):
        import keras

        inputs = keras.Input((4,))
        model = keras.Model(inputs, build(name)(inputs))
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
        np.testing.assert_array_equal(loaded(x), model(x))

    def test_trains_a_step(self, name, build):
        import keras

        keras.utils.set_random_seed(0)
        layers = [keras.Input((4,)), keras.layers.Dense(3), build(name, seed=1)]
        model = keras.Sequential([*layers, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        before = model.get_weights()[0].copy()
        x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
        assert np.isfinite(model.train_on_batch(x, np.ones((8, 1))))
        assert np.abs(model.get_weights()[0] - before).max() > 0

    def test_is_documented(self, name):
        assert "f(x) =" in ACTIVATIONS.get(name).__doc__
        assert "Reference:" in ACTIVATIONS.get(name).__doc__

    def test_has_an_initializer_family(self, name):
        assert name in INITIALIZER_FAMILIES

    def test_layer_has_the_name_that_was_asked_for(self, name, build):
        assert build(name, layer_name="hidden_0_activation").name == ("hidden_0_activation")


def test_leaky_relu_has_the_slope_that_was_asked_for(call):
    output = call("leaky_relu", np.array([[-1.0, 2.0]], np.float32), negative_slope=0.2)
    np.testing.assert_allclose(output, [[-0.2, 2.0]], rtol=1e-6)


def test_prelu_learns_one_slope_per_unit(build):
    layer = build("prelu")
    layer(np.ones((2, 7), np.float32))
    assert [weights.shape for weights in layer.trainable_weights] == [(7,)]


def test_families_follow_the_lecture():
    families = [INITIALIZER_FAMILIES[name] for name in ("relu", "selu", "tanh")]
    assert families == ["he", "lecun", "glorot"]


def test_unknown_activation_names_the_nearest(build):
    with pytest.raises(ConfigError, match=r"Unknown activation: 'swich'.*Choose one of: elu, gelu"):
        build("swich")
