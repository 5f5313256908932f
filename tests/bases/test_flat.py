"""Copies for inference: models inside models are taken apart, chance is taken out."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def copied(model):
    import keras

    from pipeline.bases.flat import flat_copy

    inputs = keras.Input(model.input.shape[1:], name="start")
    return keras.Model(inputs, flat_copy(model, inputs))


def names(model):
    return [layer.name for layer in model.layers[1:]]


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.fixture
def nested():
    """A sequential model and a functional one with a branch, inside a third, and dropout."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    first = keras.Sequential(
        [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm")], name="first"
    )
    start = keras.Input((6, 6, 4))
    branch = layers.Conv2D(4, 1, name="conv")(start)
    second = keras.Model(start, layers.Add(name="sum")([start, branch]), name="second")
    inputs = keras.Input((8, 8, 3))
    x = layers.Dropout(0.5, name="dropped")(second(first(inputs), training=False))
    return keras.Model(inputs, layers.Flatten(name="top")(x))


def test_models_inside_are_taken_apart(nested):
    copy = copied(nested)
    assert names(copy) == ["conv", "norm", "conv_2", "sum", "dropped", "top"]
    x = images(2, 8, 8, 3)
    np.testing.assert_allclose(copy(x), nested(x), rtol=1e-6)


def test_a_model_that_is_called_twice_stays_whole():
    import keras

    shared = keras.Sequential([keras.layers.Dense(4, name="dense")], name="shared")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(shared(inputs)))
    copy = copied(model)
    assert names(copy) == ["shared"]
    assert len(copy.weights) == 2
    x = images(2, 4)
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-6)


def test_what_acts_in_training_only_is_identity(nested):
    copy = copied(nested)
    assert type(copy.get_layer("dropped")).__name__ == "Identity"
    assert copy.non_trainable_variables == copy.non_trainable_weights


def test_stochastic_depth_is_identity():
    import keras
    from keras.src.applications.convnext import StochasticDepth

    inputs = keras.Input((4,))
    copy = copied(keras.Model(inputs, StochasticDepth(0.5, name="depth")(inputs)))
    assert type(copy.get_layer("depth")).__name__ == "Identity"


def test_the_model_itself_is_left_alone(nested):
    before = nested.get_weights()
    copy = copied(nested)
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    for weight, expected in zip(nested.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_model_with_a_call_of_its_own_is_no_graph():
    import keras

    from pipeline.bases.flat import functional

    class Own(keras.Model):
        def call(self, x):
            return x

    assert functional(Own()) is None
    assert functional(keras.Sequential([keras.layers.Dense(3)])) is None
    sequential = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    assert functional(sequential).output.shape == (None, 3)


def test_no_layers_name_reads_like_that_of_several_cuts():
    import keras

    inputs = keras.Input((4,))
    x = keras.layers.ReLU(name="a_b")(inputs)
    x = keras.layers.ReLU(name="c:d")(keras.layers.ReLU(name="a+b")(x))
    assert names(copied(keras.Model(inputs, x))) == ["a_b", "a_b_2", "c_d"]
