"""A copy computes what its original computes, whatever its layers derive from what they learned."""

import numpy as np
import pytest

from pipeline.bases.load import load_base
from tests.bases.made_models import MADE, shaken

pytestmark = pytest.mark.keras

SIZE = 16


def images(size=SIZE):
    rng = np.random.default_rng(size)
    return rng.integers(0, 256, (3, size, size, 3)).astype(np.float32)


def answers(model, size=SIZE):
    return np.asarray(model(images(size), training=False), np.float32)


def assert_same(found, expected):
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.ptp(expected))


def flat(model, size=SIZE):
    import keras

    from pipeline.bases.flat import flat_copy, functional

    inputs = keras.Input((size, size, 3), name="images")
    return keras.Model(inputs, flat_copy(functional(model), inputs))


@pytest.mark.parametrize("name", MADE)
def test_flat_and_inference_copies_of_a_made_model_are_the_model(name):
    from pipeline.training.export import for_inference

    model = MADE[name](SIZE)
    copy = flat(model)
    assert_same(answers(copy), answers(model))
    assert_same(answers(for_inference(copy)), answers(model))


@pytest.mark.parametrize("name", ["adapted_normalization", "nested_in_nested", "attention"])
def test_the_part_between_two_cuts_is_what_lies_there(name):
    import keras

    from pipeline.bases.cuts import find_cuts
    from pipeline.bases.graph import output_of
    from pipeline.training.segments import cut_segment

    base = flat(MADE[name](SIZE))
    cuts = find_cuts(base)
    for lower in (cuts[0].name, cuts[1].name):
        segment = cut_segment(base, lower, cuts[-1].feed)
        joined = keras.Model(base.input, segment(output_of(base, lower)))
        assert_same(answers(joined), answers(base))


@pytest.mark.parametrize("name", ["adapted_normalization", "time_distributed"])
def test_a_user_s_file_is_the_same_base_and_exported_it_still_is(name, tmp_path):
    import keras

    from pipeline.bases.cuts import find_cuts
    from pipeline.bases.user_models import load_own_base
    from pipeline.training.export import Member, join

    model = MADE[name](SIZE)
    model.save(tmp_path / "own.keras")
    base = load_own_base(tmp_path / "own.keras", image_size=SIZE, input_range=(0, 255), name="own")
    assert_same(answers(base), answers(model))
    inputs = keras.Input(base.output.shape[1:])
    head = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    member = Member(trained=head, cut=find_cuts(base)[-1].name)
    exported = join([member], image_shape=(SIZE, SIZE, 3), image_size=SIZE, base=base)
    assert_same(answers(exported), np.asarray(head(answers(model))))


def test_what_follows_from_the_size_of_images_follows_from_the_new_one(tmp_path):
    from pipeline.bases.user_models import load_own_base

    for name in ("adapted_normalization", "operations"):
        model = MADE[name](SIZE)
        model.save(tmp_path / "own.keras")
        base = load_own_base(
            tmp_path / "own.keras", image_size=24, input_range=(0, 255), name="own"
        )
        larger = MADE[name](24)
        larger.set_weights(model.get_weights())
        assert_same(answers(base, 24), answers(larger, 24))


def test_a_model_inside_that_runs_as_in_training_stays_one():
    import keras

    start = keras.Input((SIZE, SIZE, 3))
    inner = shaken(keras.Model(start, keras.layers.BatchNormalization()(start)))
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, inner(inputs, training=True))
    assert_same(answers(flat(model)), answers(model))


def test_a_copy_goes_on_with_the_chance_of_its_original():
    import keras

    from pipeline.training.export import for_inference

    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5, seed=1)(inputs))
    x = np.ones((4, 8), np.float32)
    model(x, training=True)
    copy = for_inference(model)
    np.testing.assert_array_equal(copy(x, training=True), model(x, training=True))


def test_copies_of_two_structures_are_refused():
    import keras

    from pipeline.bases.graph import copy_state

    dense, conv = keras.layers.Dense(2), keras.layers.Conv2D(2, 1)
    with pytest.raises(ValueError, match=r"must be a Dense. Received: conv2d.*, a Conv2D"):
        copy_state(dense, conv)


def test_efficientnet_from_a_file_keeps_its_normalization(tmp_path):
    import keras

    network = shaken(
        keras.applications.EfficientNetB0(
            include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
        )
    )
    network.save_weights(tmp_path / "network.weights.h5")
    file = str(tmp_path / "network.weights.h5")
    base = load_base("efficientnet_b0", image_size=32, weights=file)
    assert_same(answers(base, 32), answers(network, 32))
