"""Initial weights have the variance that their family says."""

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.training.initializers import initializer

pytestmark = pytest.mark.keras

FAN_IN, FAN_OUT = 300, 500
FAN_AVG = (FAN_IN + FAN_OUT) / 2


def draw(family="auto", *, activation="relu", distribution="normal", fan="auto", seed=1):
    weights = initializer(
        family, activation=activation, distribution=distribution, fan=fan, seed=seed
    )
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
    [("relu", "he"), ("rrelu", "he"), ("selu", "lecun"), ("tanh", "glorot"), ("softmax", "glorot")],
)
def test_auto_follows_the_activation(activation, family):
    np.testing.assert_array_equal(
        draw("auto", activation=activation), draw(family, activation="relu")
    )


def test_the_seed_decides_the_weights():
    np.testing.assert_array_equal(draw(seed=1), draw(seed=1))
    assert not np.array_equal(draw(seed=1), draw(seed=2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "hee"}, "Unknown initializer: 'hee'. Did you mean 'he'"),
        ({"distribution": "norm"}, "Unknown initializer_distribution: 'norm'. Did you mean"),
        ({"fan": "fan_out"}, "Unknown initializer_fan: 'fan_out'"),
    ],
)
def test_unknown_names_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        draw(**settings)
