"""The compiled steps are Keras' own, and what they report is what was asked."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.bases.model_files import weights_sha256
from pipeline.training.batches import Chunk
from pipeline.training.head import build_head
from pipeline.training.segments import cut_segment
from tests.bases.small_base import small_base, whole

pytestmark = pytest.mark.keras


NO_CENTRE = np.zeros((), np.float32)


def steps_of(
    model,
    *,
    batch_size,
    learning_rate=0.1,
    steps_per_epoch=1,
    centre=NO_CENTRE,
    **options,
):
    import keras

    from pipeline.training.steps import Steps

    return Steps(
        model,
        keras.optimizers.SGD(learning_rate, **options),
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        centre=centre,
    )


def chunk_of(data, *, num_rows, batch_size):
    rows = data.train[:num_rows]
    return Chunk(
        features=data.features[rows],
        labels=data.labels[rows].astype(np.int32),
        weights=np.ones(num_rows, np.float32),
        num_batches=-(-num_rows // batch_size),
    )


def test_the_centre_is_added_to_what_is_stored(build, blobs):
    centre = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    chunk = chunk_of(blobs, num_rows=40, batch_size=16)
    ours, plain = build(), build()
    steps_of(ours, batch_size=16, centre=centre).train(chunk)
    steps_of(plain, batch_size=16).train(
        replace(chunk, features=chunk.features.astype(np.float32) + centre)
    )
    for weights, expected in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_steps_equal_those_of_keras(build, blobs, l2):
    chunk = chunk_of(blobs, num_rows=40, batch_size=16)
    ours, theirs = build(l2=l2), build(l2=l2)
    loss, correct, *_ = steps_of(ours, batch_size=16).train(chunk)
    theirs.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    theirs.optimizer.learning_rate = 0.1
    history = theirs.fit(
        chunk.features.astype(np.float32), chunk.labels, batch_size=16, shuffle=False, verbose=0
    ).history
    for weights, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    assert loss / 40 == pytest.approx(history["loss"][0], rel=1e-5)
    assert correct / 40 == pytest.approx(history["accuracy"][0])


def test_weights_of_rows_equal_those_of_keras(build, blobs):
    chunk = chunk_of(blobs, num_rows=40, batch_size=16)
    weights = np.random.default_rng(0).uniform(0, 3, 40).astype(np.float32)
    ours, theirs = build(), build()
    loss = steps_of(ours, batch_size=16).train(replace(chunk, weights=weights))[0]
    theirs.compile("sgd", "sparse_categorical_crossentropy")
    theirs.optimizer.learning_rate = 0.1
    history = theirs.fit(
        chunk.features.astype(np.float32),
        chunk.labels,
        sample_weight=weights,
        batch_size=16,
        shuffle=False,
        verbose=0,
    ).history
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-5)
    assert loss / 40 == pytest.approx(history["loss"][0], rel=1e-5)


def test_the_norm_is_of_the_whole_gradient_before_clipping(build, blobs):
    import tensorflow as tf

    chunk, model = chunk_of(blobs, num_rows=30, batch_size=30), build()
    with tf.GradientTape() as tape:
        probabilities = model(chunk.features.astype(np.float32))
        picked = tf.gather(probabilities, chunk.labels, batch_dims=1)
        loss = -tf.reduce_mean(tf.math.log(picked))
    gradients = tape.gradient(loss, model.trainable_variables)
    expected = np.sqrt(sum(np.sum(np.square(g.numpy())) for g in gradients))
    sums = steps_of(model, batch_size=30, global_clipnorm=1e-3).train(chunk)
    assert sums[2] == pytest.approx(expected, rel=1e-5)
    assert sums[3] == 1


@pytest.mark.parametrize(("steps_per_epoch", "measured"), [(255, 30), (256, 4)])
def test_in_long_epochs_the_norm_is_measured_at_every_eighth_step(
    build, blobs, steps_per_epoch, measured
):
    chunk = chunk_of(blobs, num_rows=30, batch_size=1)
    sums = steps_of(build(), batch_size=1, steps_per_epoch=steps_per_epoch).train(chunk)
    assert sums[3] == measured


def test_the_loss_of_a_hopeless_answer_is_exact(build, blobs):
    # From probabilities alone it would be cut at -ln(1e-7) = 16.1, its gradient at 0.
    chunk, model = chunk_of(blobs, num_rows=1, batch_size=1), build()
    weights = [np.zeros_like(array) for array in model.get_weights()]
    weights[-1][chunk.labels[0]] = -200.0
    model.set_weights(weights)
    assert steps_of(model, batch_size=1).train(chunk)[0] == pytest.approx(200 + np.log(2), rel=1e-5)


def test_pixels_are_cast_inside_the_step(build, blobs):
    chunk = chunk_of(blobs, num_rows=16, batch_size=16)
    pixels = np.abs(chunk.features * 10).astype(np.uint8)
    sums = [
        steps_of(build(), batch_size=16).train(replace(chunk, features=features))
        for features in (pixels, pixels.astype(np.float32))
    ]
    np.testing.assert_array_equal(*sums)


TABLE = np.array([0.5, 0.25, 0.125], np.float32)


def test_an_optimizer_takes_each_step_at_the_tables_rate_and_holds_the_last():
    import keras

    from pipeline.training.steps import TabulatedSchedule

    optimizer = keras.optimizers.SGD(TabulatedSchedule(TABLE))
    weights = keras.Variable([0.0])
    positions = []
    for _ in range(5):
        optimizer.apply([np.ones(1, np.float32)], [weights])
        positions.append(float(np.array(weights)[0]))
    steps = -np.diff([0.0, *positions])
    assert steps.tolist() == [0.5, 0.25, 0.125, 0.125, 0.125]


def test_its_configuration_is_the_table():
    from pipeline.training.steps import TabulatedSchedule

    assert TabulatedSchedule(TABLE).get_config() == {"table": [0.5, 0.25, 0.125]}


FEATURES = np.random.default_rng(0).normal(size=(30, 8, 8, 8)).astype(np.float32)


@pytest.fixture
def head(hyperparameters):
    def build(**changes):
        values = hyperparameters(**{"units": 16, "dropout": "none", **changes})
        return build_head((4, 4, 12), 10, values, mean=[0.5] * 12, variance=[2.0] * 12, seed=3)

    return build


def fine_tuned(head):
    from pipeline.training.fine_tuned import FineTuned

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


def test_any_number_of_rows_is_compiled_once(build, blobs, monkeypatch):
    from pipeline.training.steps import Predictor, Steps

    traced = {"_train_batch": 0, "_predict_batch": 0}
    for owner, name in ((Steps, "_train_batch"), (Predictor, "_predict_batch")):
        as_it_should = getattr(owner, name)

        def counted(self, *args, name=name, as_it_should=as_it_should):
            traced[name] += 1  # Python runs while TensorFlow traces, and no more.
            return as_it_should(self, *args)

        monkeypatch.setattr(owner, name, counted)
    steps = steps_of(build(), batch_size=16)
    for num_rows in (48, 40, 9):
        steps.train(chunk_of(blobs, num_rows=num_rows, batch_size=16))
        steps.predict(blobs, blobs.train[:num_rows])
    assert traced == {"_train_batch": 1, "_predict_batch": 1}
