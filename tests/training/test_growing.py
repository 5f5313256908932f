"""A head that grows keeps its function; one that is pruned keeps its zeros."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras

NUM_FEATURES, NUM_CLASSES = 12, 3


@pytest.fixture
def build(hyperparameters):
    from pipeline.training.head import build_head

    def build(units, num_layers=2, seed=0):
        values = hyperparameters(
            cut="pixels", units=units, num_layers=num_layers, dropout="none", activation="tanh"
        )
        shape = ((NUM_FEATURES,), NUM_CLASSES, values)
        return build_head(
            *shape, mean=[0.0] * NUM_FEATURES, variance=[1.0] * NUM_FEATURES, seed=seed
        )

    return build


@pytest.fixture
def examples():
    return np.random.default_rng(0).normal(size=(50, NUM_FEATURES)).astype(np.float32)


def test_units_that_are_added_change_nothing_until_they_are_trained(build, examples):
    from pipeline.training.growing import grow

    small, large = build(4), build(9, seed=1)
    before = large.predict(examples, verbose=0)
    grow(small, large)
    expected = small.predict(examples, verbose=0)
    np.testing.assert_allclose(large.predict(examples, verbose=0), expected, atol=1e-6)
    assert np.abs(before - expected).max() > 0.01


def test_units_that_are_added_can_learn(build):
    from pipeline.training.growing import dense_layers, grow

    small, large = build(4), build(9, seed=1)
    grow(small, large)
    first, second, _ = dense_layers(large)
    # Incoming weights of their own; what they say is not heard yet.
    assert np.abs(first.get_weights()[0][:, 4:]).min() > 0
    assert np.abs(second.get_weights()[0][4:]).max() == 0


def test_a_head_does_not_shrink(build):
    from pipeline.training.growing import grow

    with pytest.raises(ValueError, match="as large as hidden_0, or larger"):
        grow(build(9), build(4))


def test_the_smallest_weights_of_all_layers_go(build):
    from pipeline.training.growing import dense_layers, smallest_masks, take_away, zero_share

    model = build(8)
    kernels = [layer.get_weights()[0] for layer in dense_layers(model)]
    sizes = np.sort(np.abs(np.concatenate([one.ravel() for one in kernels])))
    take_away(model, smallest_masks(model, 0.75))
    left = np.concatenate([layer.get_weights()[0].ravel() for layer in dense_layers(model)])
    assert zero_share(model) == pytest.approx(0.75, abs=0.01)
    assert np.abs(left[left != 0]).min() >= sizes[round(0.75 * len(sizes))]


def test_what_was_taken_away_stays_away_in_training_and_in_the_file(
    build, hyperparameters, blobs, tmp_path
):
    import keras

    from pipeline.training import programs
    from pipeline.training.fit import train
    from pipeline.training.growing import smallest_masks, take_away, zero_share
    from pipeline.training.head import build_head
    from pipeline.training.phases import whole

    values = hyperparameters(cut="pixels", units=16, dropout="none", early_stopping="none")
    features = blobs.features.shape[1]
    model = build_head(
        *((features,), blobs.num_classes, values),
        mean=[0.0] * features,
        variance=[1.0] * features,
        seed=0,
    )
    told = {"seed": 0, "objective": "val_accuracy", "report": lambda record: False}
    programs.keep(train(model, blobs, values, phase=whole(1), **told).steps)
    take_away(model, smallest_masks(model, 0.6))
    before = [weights.copy() for weights in model.get_weights()]
    programs.forget()
    train(model, blobs, values, phase=whole(2), **told)
    assert zero_share(model) == pytest.approx(0.6, abs=0.02)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "pruned.keras")
    assert zero_share(keras.saving.load_model(tmp_path / "pruned.keras")) == zero_share(model)
