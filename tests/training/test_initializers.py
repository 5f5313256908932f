"""Initial weights have the variance that their family says."""

import numpy as np
import pytest

from pipeline.training.initializers import initializer

pytestmark = pytest.mark.keras

FAN_IN, FAN_OUT = 300, 500
FAN_AVG = (FAN_IN + FAN_OUT) / 2


def draw(family="auto", *, activation="relu", distribution="normal", fan="auto", seed=1, scale=1.0):
    told = {"distribution": distribution, "fan": fan, "scale": scale, "seed": seed}
    weights = initializer(family, activation=activation, **told)
    return np.asarray(weights((FAN_IN, FAN_OUT)))


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize(
    ("family", "fan", "variance"),
    [
        ("glorot", "auto", 1 / FAN_AVG),
        ("glorot", "fan_in", 1 / FAN_IN),
        ("he", "auto", 2 / FAN_IN),
        ("he", "fan_avg", 2 / FAN_AVG),
        ("lecun", "auto", 1 / FAN_IN),
        ("lecun", "fan_avg", 1 / FAN_AVG),
    ],
)
def test_variance_is_scale_over_fan(family, fan, distribution, variance):
    weights = draw(family, distribution=distribution, fan=fan)
    # The sample variance of 150,000 values has a relative deviation below 0.4%: 2% is 5 sigma.
    assert weights.var() == pytest.approx(variance, rel=0.02)
    assert weights.mean() == pytest.approx(0, abs=5 * np.sqrt(variance / weights.size))


def test_uniform_ends_at_the_square_root_of_three_variances():
    weights = draw("glorot", distribution="uniform")
    assert np.abs(weights).max() == pytest.approx(np.sqrt(3 / FAN_AVG), rel=1e-3)


def test_normal_is_cut_at_two_standard_deviations_as_keras_has_it():
    weights = draw("lecun", distribution="normal")
    # Keras draws with 1 / 0.8796 of the deviation and cuts at twice that.
    assert np.abs(weights).max() == pytest.approx(2 / 0.87962566 / np.sqrt(FAN_IN), rel=1e-2)


@pytest.mark.parametrize(
    ("activation", "family"),
    [("relu", "he"), ("rrelu", "he"), ("selu", "lecun"), ("tanh", "glorot")],
)
def test_auto_follows_the_activation(activation, family):
    np.testing.assert_array_equal(
        draw("auto", activation=activation), draw(family, activation="relu")
    )


def test_the_seed_decides_the_weights():
    np.testing.assert_array_equal(draw(seed=1), draw(seed=1))
    assert not np.array_equal(draw(seed=1), draw(seed=2))


def test_a_plain_normal_has_the_deviation_that_it_is_given():
    weights = draw("normal", scale=0.3)
    assert weights.std() == pytest.approx(0.3, rel=0.02)


def test_units_that_begin_equal_stay_equal(hyperparameters, blobs):
    from pipeline.training.fit import train
    from pipeline.training.head import build_head
    from pipeline.training.phases import whole

    values = hyperparameters(
        **{"cut": "pixels", "num_layers": 3, "units": 6, "initializer": "zeros"},
        **{"activation": "sigmoid", "dropout": "none", "learning_rate": 0.01},
    )
    head = build_head((4,), 3, values, mean=[0.0] * 4, variance=[1.0] * 4, seed=0)
    told = {"seed": 0, "objective": "val_accuracy", "report": lambda record: False}
    train(head, blobs, values, phase=whole(3), **told)
    first, second = (head.get_layer(f"hidden_{index}").get_weights() for index in (0, 1))
    for kernel in (first[0], second[0]):
        np.testing.assert_allclose(kernel, np.repeat(kernel[:, :1], 6, axis=1), rtol=1e-5)
    # It has been trained: what it answers is how frequent the classes are.
    assert np.abs(head.get_layer("probabilities").get_weights()[1]).max() > 0
