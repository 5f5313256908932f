"""A head is built as its hyperparameters say, of layers that can be read."""

import numpy as np
import pytest

from pipeline.errors import InfeasibleTrialError
from pipeline.training.activations import ACTIVATIONS
from pipeline.training.head import build_head

pytestmark = pytest.mark.keras


@pytest.fixture
def head(hyperparameters):
    """Builds a head on (4, 4, 2) features for 3 classes with some hyperparameters changed."""

    def build(*, shape=(4, 4, 2), classes=3, seed=7, mean=None, variance=None, sizes=(), **changes):
        return build_head(
            shape,
            classes,
            hyperparameters(**changes),
            mean=mean or [0.0] * shape[-1],
            variance=variance or [1.0] * shape[-1],
            seed=seed,
            part_sizes=sizes,
        )

    return build


def names(model):
    return [layer.name for layer in model.layers[1:]]


def trainable(model):
    return sum(int(np.prod(weights.shape)) for weights in model.trainable_weights)


def test_the_lectures_network_has_its_266610_parameters(head):
    model = head(
        shape=(28, 28, 1),
        classes=10,
        num_layers=2,
        units_shape="per_layer",
        units_0=300,
        units_1=100,
        feature_scaling="unit",
        dropout="none",
    )
    counts = {layer.name: layer.count_params() for layer in model.layers if layer.weights}
    assert counts == {"hidden_0": 235_500, "hidden_1": 30_100, "probabilities": 1_010}
    assert trainable(model) == model.count_params() == 266_610


def test_scaling_is_no_part_of_the_weights(head):
    for scaling in ("standardize", "unit", "none"):
        model = head(feature_scaling=scaling, num_layers=0, dropout="none")
        assert model.count_params() == 32 * 3 + 3


def test_no_hidden_layer_is_logistic_regression(head):
    model = head(num_layers=0, dropout="none", feature_scaling="none")
    assert names(model) == ["flatten", "probabilities"]
    x = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)
    kernel, bias = model.get_weights()
    logits = x.reshape(5, 32).astype(np.float64) @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model(x), expected, rtol=1e-4)


def test_standardize_uses_the_mean_and_variance_of_each_channel(head):
    model = head(mean=[10.0, -1.0], variance=[4.0, 9.0])
    x = np.array([12.0, 5.0], np.float32) * np.ones((1, 4, 4, 2), np.float32)
    scaled = model.get_layer("feature_scaling")(x)
    np.testing.assert_allclose(scaled[0, 0, 0], [1.0, 2.0], rtol=1e-6)


def test_a_channel_that_hardly_varies_is_not_blown_up(head):
    model = head(mean=[0.0, 0.0], variance=[0.0, 2.0])
    scaled = model.get_layer("feature_scaling")(np.ones((1, 4, 4, 2), np.float32))
    # The floor is 1e-4 of the mean variance, 1: a value of 1 becomes 100, not 1e7.
    np.testing.assert_allclose(scaled[0, 0, 0], [100.0, 1 / np.sqrt(2)], rtol=1e-5)


def test_of_several_cuts_each_is_standardized_by_itself(head):
    told = {"shape": (4,), "mean": [0.0] * 4, "variance": [1e4, 1e4, 1e-6, 0.0]}
    x = np.ones((1, 4), np.float32)
    scaled = head(**told, sizes=(2, 2)).get_layer("feature_scaling")(x)
    # The floor of the second is 1e-4 of its own mean variance, 5e-7.
    np.testing.assert_allclose(scaled[0], [1e-2, 1e-2, 1e3, 1 / np.sqrt(5e-11)], rtol=1e-4)
    # As if of one, small numbers beside large ones would be next to nothing.
    np.testing.assert_allclose(head(**told).get_layer("feature_scaling")(x)[0, 2], 1 / np.sqrt(0.5))


def test_features_that_never_vary_give_finite_probabilities(head):
    model = head(mean=[3.0, 3.0], variance=[0.0, 0.0])
    assert np.isfinite(model(np.full((2, 4, 4, 2), 3.0, np.float32))).all()


def test_unit_divides_by_255(head):
    model = head(feature_scaling="unit")
    scaled = model.get_layer("feature_scaling")(np.full((1, 4, 4, 2), 255.0, np.float32))
    np.testing.assert_allclose(scaled, 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "shape", "flat"),
    [
        ("none", (5, 5, 2), 50),
        ("average", (5, 5, 2), 18),
        ("average", (1, 1, 2), 2),
        ("global", (5, 5, 2), 2),
        ("average", (7,), 7),
        ("global", (7,), 7),
    ],
)
def test_pooling_shrinks_maps_and_leaves_vectors(head, pooling, shape, flat):
    model = head(shape=shape, pooling=pooling)
    assert model.get_layer("flatten").output.shape == (None, flat)


def test_average_pooling_averages_what_there_is_at_an_odd_edge(head):
    model = head(shape=(3, 3, 1), pooling="average")
    x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    pooled = np.asarray(model.get_layer("pooling")(x))[0, :, :, 0]
    np.testing.assert_allclose(pooled, [[2.0, 3.5], [6.5, 8.0]])


def test_widths_are_the_same_or_one_each(head):
    same = head(num_layers=3, units=5)
    assert [same.get_layer(f"hidden_{index}").units for index in range(3)] == [5, 5, 5]
    each = head(num_layers=3, units_shape="per_layer", units_0=7, units_1=6, units_2=5)
    assert [each.get_layer(f"hidden_{index}").units for index in range(3)] == [7, 6, 5]


def test_normalization_before_takes_the_bias_away(head):
    model = head(num_layers=2, normalization="before", dropout="none")
    assert names(model)[2:5] == ["hidden_0", "hidden_0_normalization", "hidden_0_activation"]
    assert not model.get_layer("hidden_0").use_bias
    assert model.get_layer("probabilities").use_bias


def test_normalization_after_keeps_the_bias_that_the_activation_needs(head):
    model = head(num_layers=2, normalization="after", dropout="none")
    assert names(model)[2:5] == ["hidden_0", "hidden_0_activation", "hidden_0_normalization"]
    assert model.get_layer("hidden_0").use_bias


def test_normalization_settings_reach_every_batch_normalization(head):
    model = head(
        normalization="before",
        normalize_first=True,
        batch_norm_momentum=0.8,
        batch_norm_epsilon=0.05,
    )
    found = [model.get_layer(name) for name in ("input_normalization", "hidden_0_normalization")]
    assert [(layer.momentum, layer.epsilon) for layer in found] == [(0.8, 0.05)] * 2


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"dropout": "none"}, []),
        ({"dropout": "input"}, ["input"]),
        ({"dropout": "all"}, ["input", "hidden_0", "hidden_1", "hidden_2"]),
        ({"dropout": "last", "dropout_layers": 1}, ["hidden_2"]),
        ({"dropout": "last", "dropout_layers": 2}, ["hidden_1", "hidden_2"]),
        ({"dropout": "last", "dropout_layers": 5}, ["hidden_0", "hidden_1", "hidden_2"]),
    ],
)
def test_dropout_is_where_it_was_asked_for_and_never_on_the_output(head, settings, where):
    model = head(num_layers=3, dropout_rate=0.3, **settings)
    assert [n.removesuffix("_dropout") for n in names(model) if n.endswith("_dropout")] == where
    assert names(model)[-1] == "probabilities"


def test_dropout_follows_the_activation(head):
    model = head(num_layers=1, dropout="last", dropout_rate=0.3)
    assert names(model)[-3:] == ["hidden_0_activation", "hidden_0_dropout", "probabilities"]
    assert model.get_layer("hidden_0_dropout").rate == 0.3


def test_selu_has_alpha_dropout(head):
    kinds = {
        activation: type(
            head(activation=activation, dropout="last", dropout_rate=0.1).get_layer(
                "hidden_0_dropout"
            )
        ).__name__
        for activation in ("selu", "relu")
    }
    assert kinds == {"selu": "AlphaDropout", "relu": "Dropout"}


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({"regularizer": "none"}, None),
        ({"regularizer": "l1", "l1": 0.01}, (0.01, 0.0)),
        ({"regularizer": "l2", "l2": 0.02}, (0.0, 0.02)),
        ({"regularizer": "elastic_net", "l1": 0.01, "l2": 0.02}, (0.01, 0.02)),
    ],
)
def test_every_dense_layer_has_the_penalty(head, settings, factors):
    model = head(num_layers=1, dropout="none", **settings)
    for layer in (model.get_layer("hidden_0"), model.get_layer("probabilities")):
        penalty = layer.kernel_regularizer
        found = None if penalty is None else (float(penalty.l1), float(penalty.l2))
        assert found == (factors if factors is None else pytest.approx(factors))


def test_elastic_net_adds_both_penalties_to_the_loss(head):
    model = head(num_layers=0, dropout="none", regularizer="elastic_net", l1=0.01, l2=0.02)
    kernel = model.get_weights()[0].astype(np.float64)
    model(np.zeros((1, 4, 4, 2), np.float32))
    expected = 0.01 * np.abs(kernel).sum() + 0.02 * (kernel**2).sum()
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_the_seed_decides_weights_and_dropout(head):
    def train(seed):
        model = head(seed=seed, num_layers=2, dropout="all", dropout_rate=0.5, activation="rrelu")
        x = np.random.default_rng(0).normal(size=(6, 4, 4, 2)).astype(np.float32)
        return np.asarray(model(x, training=True))

    np.testing.assert_array_equal(train(1), train(1))
    assert not np.array_equal(train(1), train(2))


def test_layers_of_the_same_shape_start_with_different_weights(head):
    model = head(num_layers=3, units=16)
    first, second = (model.get_layer(f"hidden_{index}").get_weights()[0] for index in (1, 2))
    assert not np.array_equal(first, second)


def test_output_starts_with_glorot_uniform_whatever_the_hidden_layers_have(head):
    model = head(units=400, initializer="he", initializer_distribution="normal")
    kernel = model.get_layer("probabilities").get_weights()[0]
    assert np.abs(kernel).max() == pytest.approx(np.sqrt(6 / (400 + 3)), rel=1e-2)


def test_initial_weights_follow_the_activation(head):
    deviations = {
        activation: head(shape=(500,), units=400, activation=activation, dropout="none")
        .get_weights()[0]
        .std()
        for activation in ("relu", "selu", "tanh")
    }
    expected = {"relu": (2 / 500) ** 0.5, "selu": (1 / 500) ** 0.5, "tanh": (2 / 900) ** 0.5}
    assert deviations == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_gives_probabilities(head, name):
    model = head(num_layers=1, activation=name)
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 2)).astype(np.float32)
    probabilities = np.asarray(model(x))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_leaky_relu_has_the_slope_of_its_hyperparameter(head):
    model = head(activation="leaky_relu", negative_slope=0.2)
    assert model.get_layer("hidden_0_activation").negative_slope == pytest.approx(0.2)


@pytest.mark.parametrize("settings", [{"normalization": "after"}, {"normalize_first": True}])
def test_batch_normalization_of_single_images_is_refused(head, settings):
    with pytest.raises(InfeasibleTrialError, match=r"outputs zeros. Received: batch_size=1"):
        head(batch_size=1, **settings)
