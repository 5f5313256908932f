"""Every optimizer is Keras', with its own settings, and clips as it is told."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.config import read_document
from pipeline.errors import ConfigError
from pipeline.training.optimizers import OPTIMIZERS, build_optimizer

pytestmark = pytest.mark.keras

# The parameters of an optimizer that is new have their defaults.
SETTINGS = {
    **read_document(Path(__file__).parents[2] / "params.yaml")["defaults"],
    "momentum": 0.8,
    "rho": 0.7,
    "beta_1": 0.6,
    "beta_2": 0.95,
    "weight_decay": 0.25,
    "clipping": "none",
}


def optimizer(name, **changes):
    return build_optimizer({**SETTINGS, "optimizer": name, **changes}, learning_rate=0.5)


def after_steps(built, gradients, start=(1.0, 1.0)):
    """Returns a variable after one step per gradient."""
    import keras

    weights = keras.Variable(np.array(start, np.float32))
    for gradient in gradients:
        built.apply([np.array(gradient, np.float32)], [weights])
    return np.array(weights)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
class TestEveryOptimizer:
    def test_minimizes_a_parabola(self, name):
        import keras
        import tensorflow as tf

        built, weights = optimizer(name), keras.Variable([3.0, -2.0])
        built.learning_rate = 0.1
        for _ in range(30):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(weights.value**2)
            built.apply(tape.gradient(loss, [weights.value]), [weights])
        assert float(np.sum(np.square(weights))) < 13.0

    def test_has_a_rate_that_can_be_assigned(self, name):
        built = optimizer(name)
        built.learning_rate = 0.25
        assert float(built.learning_rate.numpy()) == 0.25

    def test_takes_each_clipping(self, name):
        for clipping in ("clipvalue", "clipnorm", "global_clipnorm"):
            built = optimizer(name, clipping=clipping, clipping_threshold=2.0)
            kinds = ("clipvalue", "clipnorm", "global_clipnorm")
            assert {kind: getattr(built, kind) for kind in kinds if getattr(built, kind)} == {
                clipping: 2.0
            }

    def test_does_not_clip_unless_told(self, name):
        built = optimizer(name)
        assert built.clipvalue is built.clipnorm is built.global_clipnorm is None


@pytest.mark.parametrize(
    ("clipping", "expected"),
    [
        ("clipvalue", [0.9, 1.0]),
        ("clipnorm", [0.00899964, 0.9999595]),
        ("global_clipnorm", [0.00899964, 0.9999595]),
    ],
)
def test_clipping_gives_the_lectures_numbers(clipping, expected):
    built = build_optimizer(
        {"optimizer": "sgd", "clipping": clipping, "clipping_threshold": 1.0}, learning_rate=1.0
    )
    step = -after_steps(built, [[0.9, 100.0]], start=(0.0, 0.0))
    np.testing.assert_allclose(step, expected, rtol=1e-6)


def test_clipnorm_clips_each_variable_and_global_clipnorm_the_whole_gradient():
    import keras

    steps = {}
    for clipping in ("clipnorm", "global_clipnorm"):
        built = build_optimizer(
            {"optimizer": "sgd", "clipping": clipping, "clipping_threshold": 1.0}, learning_rate=1.0
        )
        weights = [keras.Variable([0.0]), keras.Variable([0.0])]
        built.apply([np.array([3.0], np.float32), np.array([4.0], np.float32)], weights)
        steps[clipping] = [-float(np.array(variable)[0]) for variable in weights]
    assert steps["clipnorm"] == pytest.approx([1.0, 1.0])
    assert steps["global_clipnorm"] == pytest.approx([0.6, 0.8])


def test_sgd_takes_the_gradient_times_the_rate():
    assert after_steps(optimizer("sgd"), [[2.0, -4.0]]) == pytest.approx([0.0, 3.0])


def test_momentum_keeps_a_share_of_the_last_step():
    # Steps -0.5, then -0.5 - 0.8 * 0.5.
    assert after_steps(optimizer("momentum"), [[1, 1], [1, 1]])[0] == pytest.approx(1 - 0.5 - 0.9)


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_a_whole_number_is_a_momentum(name):
    assert after_steps(optimizer(name, momentum=0), [[2.0, -4.0]]) == pytest.approx([0.0, 3.0])


def test_nesterov_looks_one_momentum_ahead():
    # m = -0.5; the step is 0.8 m - 0.5.
    assert after_steps(optimizer("nesterov"), [[1, 1]])[0] == pytest.approx(1 - 0.4 - 0.5)


def test_rmsprop_divides_by_the_decayed_root_mean_square():
    expected = 1 - 0.5 * 2 / np.sqrt(0.3 * 4)
    assert after_steps(optimizer("rmsprop"), [[2, 2]])[0] == pytest.approx(expected, rel=1e-5)


def test_adagrad_divides_by_the_root_of_all_squares():
    # Keras starts its sum at 0.1.
    expected = 1 - 0.5 * 2 / np.sqrt(0.1 + 4)
    assert after_steps(optimizer("adagrad"), [[2, 2]])[0] == pytest.approx(expected, rel=1e-5)


def test_adam_takes_its_own_betas():
    m, v, weight = 0.0, 0.0, 1.0
    for t, gradient in enumerate([1.0, 3.0], start=1):
        m = 0.6 * m + 0.4 * gradient
        v = 0.95 * v + 0.05 * gradient**2
        weight -= 0.5 * (m / (1 - 0.6**t)) / np.sqrt(v / (1 - 0.95**t))
    assert after_steps(optimizer("adam"), [[1, 1], [3, 3]])[0] == pytest.approx(weight, abs=1e-5)


@pytest.mark.parametrize(("name", "theirs"), [("adam", "Adam"), ("adamw", "AdamW")])
@pytest.mark.parametrize("clipping", ["none", "clipvalue"])
def test_the_update_in_one_operation_is_keras_own(name, theirs, clipping):
    import keras

    own = optimizer(name, clipping=clipping, clipping_threshold=0.5)
    options = {"learning_rate": 0.5, "beta_1": 0.6, "beta_2": 0.95, "clipvalue": own.clipvalue}
    if name == "adamw":
        options["weight_decay"] = 0.25
    gradients = np.random.default_rng(1).normal(size=(20, 2))
    expected = after_steps(getattr(keras.optimizers, theirs)(**options), gradients)
    np.testing.assert_allclose(after_steps(own, gradients), expected, rtol=1e-4)


def test_adamw_decays_weights_by_the_rate_times_the_decay():
    plain, decayed = (
        after_steps(optimizer("adam"), [[1, 1]]),
        after_steps(optimizer("adamw"), [[1, 1]]),
    )
    assert plain[0] - decayed[0] == pytest.approx(0.5 * 0.25 * 1.0, rel=1e-5)


def test_an_unknown_optimizer_lists_the_choices():
    with pytest.raises(ConfigError, match=r"Did you mean 'adam'.*adagrad, adam, adamw"):
        optimizer("adan")
