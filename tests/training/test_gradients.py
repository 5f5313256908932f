"""What is measured of a training equals its definition, and changes nothing of it."""

import numpy as np
import pytest

from pipeline.hyperparameter import Hyperparameters
from pipeline.training.activations import ACTIVATIONS, Settings
from pipeline.training.batches import Chunk
from pipeline.training.phases import whole
from testing.unmonitored import unmonitored

pytestmark = pytest.mark.keras


@pytest.fixture
def train(hyperparameters, blobs):
    """Trains a head of 4 features two epochs; returns its weights and records."""
    from pipeline.training import fit
    from pipeline.training.head import build_head

    def train_head(**changes):
        values = hyperparameters(**{"units": 8, "batch_size": 16, "num_layers": 2, **changes})
        model = build_head((4,), 3, values, mean=[0.0] * 4, variance=[1.0] * 4, seed=1)
        records = []
        fit.train(
            model,
            blobs,
            values,
            phase=whole(2),
            seed=1,
            objective="val_accuracy",
            report=records.append,
        )
        return model.get_weights(), records

    return train_head


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": "all", "normalization": "before", "activation": "rrelu"},
        {"clipping": "clipvalue", "clipping_threshold": 0.01, "optimizer": "nesterov"},
        {"clipping": "global_clipnorm", "activation": "tanh", "regularizer": "l2"},
    ],
)
def test_monitoring_changes_no_bit(train, changes):
    weights, records = train(**changes)
    with unmonitored():
        plain_weights, plain = train(**changes)
    for found, expected in zip(weights, plain_weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(records, plain, strict=True):
        metrics = {**found.metrics, "seconds": expected.metrics["seconds"]}
        assert metrics == expected.metrics
    assert len(records[0].health.gradient_norms) == 3


def test_figures_are_of_the_kernels_from_first_to_last(train):
    _, records = train(activation="prelu", normalization="before")
    health = records[-1].health
    assert [len(health.gradient_norms), len(health.update_ratios)] == [3, 3]
    assert [len(health.dead), len(health.saturated)] == [2, 2]
    assert min([*health.gradient_norms, *health.update_ratios]) > 0
    assert (health.clipped, health.kept) == (0.0, 1.0)


def steps_of(model, *, batch_size=40, **options):
    import keras

    from pipeline.training.steps import Steps

    return Steps(
        model,
        keras.optimizers.SGD(0.1, **options),
        batch_size=batch_size,
        steps_per_epoch=1,
        centre=np.zeros((), np.float32),
    )


def chunk_of(data, num_rows, *, num_batches=1):
    rows = data.train[:num_rows]
    return Chunk(
        features=data.features[rows],
        labels=data.labels[rows].astype(np.int32),
        weights=np.ones(num_rows, np.float32),
        num_batches=num_batches,
    )


def gradients_of(model, chunk):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        picked = tf.gather(model(chunk.features.astype(np.float32)), chunk.labels, batch_dims=1)
        loss = -tf.reduce_mean(tf.math.log(picked))
    return [gradient.numpy() for gradient in tape.gradient(loss, model.trainable_variables)]


@pytest.mark.parametrize("clipping", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_what_is_clipped_is_what_keras_leaves(build, blobs, clipping):
    from pipeline.training.gradients import epoch_health
    from pipeline.training.steps import NUM_SUMS

    chunk, model = chunk_of(blobs, 40), build()
    gradients, before = gradients_of(model, chunk), model.get_weights()
    sums, updates = steps_of(model, **{clipping: 0.1}).train_and_compare(chunk)
    steps = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    kept = np.sqrt(sum(np.sum(step**2) for step in steps)) / 0.1 / norm
    health = epoch_health(
        sums[NUM_SUMS:], num_measured=sums[3], model=model, updates=updates, idle=np.zeros((2, 0))
    )
    assert (health.clipped, health.kept) == (1.0, pytest.approx(kept, rel=0.01))
    norms = [np.linalg.norm(gradient) for gradient in gradients[::2]]
    assert health.gradient_norms == pytest.approx(norms, rel=0.01)
    ratios = [np.linalg.norm(steps[i]) / np.linalg.norm(before[i]) for i in (0, 2)]
    assert health.update_ratios == pytest.approx(ratios, rel=0.01)


def test_the_first_step_apart_gives_the_sums_of_all_together(build, blobs):
    chunk = chunk_of(blobs, 100, num_batches=7)
    ours, plain = (steps_of(build(), batch_size=16) for _ in range(2))
    np.testing.assert_array_equal(ours.train_and_compare(chunk)[0], plain.train(chunk))


def test_steps_with_a_finite_loss_are_counted(build, blobs):
    chunk, model = chunk_of(blobs, 64, num_batches=4), build()
    steps = steps_of(model, batch_size=16)
    assert steps.train(chunk)[4] == 4
    model.set_weights([np.full_like(weights, np.inf) for weights in model.get_weights()])
    assert steps.train(chunk)[4] == 0


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_says_when_it_is_idle(name, params_document):
    from pipeline.training.gradients import idle_shares

    defaults: Hyperparameters = params_document["defaults"]
    layer = ACTIVATIONS.get(name)(Settings(hyperparameters=defaults))
    # One unit far below, one far above, one that goes from -1 to 1.
    inputs = np.stack([np.full(20, -50.0), np.full(20, 50.0), np.linspace(-1, 1, 20)], axis=1)
    outputs = layer(inputs.astype(np.float32))
    dead, saturated = np.asarray(idle_shares([layer], [outputs]))[:, 0]
    expected = {
        **dict.fromkeys(["relu", "silu", "gelu", "softplus"], (1, 0)),
        **dict.fromkeys(["sigmoid", "tanh"], (0, 2)),
        **dict.fromkeys(["elu", "selu"], (0, 1)),
        **dict.fromkeys(["leaky_relu", "prelu", "rrelu"], (0, 0)),
    }
    assert (round(3 * dead), round(3 * saturated)) == expected[name]


def test_the_probe_are_images_spread_over_the_training_part(blobs):
    from pipeline.training.gradients import PROBE_ROWS, probe_rows

    rows = probe_rows(blobs)
    assert len(rows) == min(PROBE_ROWS, len(blobs.train))
    assert set(rows) <= set(blobs.train)
