"""Only dropout is switched on, and its mean over passes is what theory says."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def model(*above):
    """Images, batch normalization whose batch statistics are not its own, and other layers."""
    import keras

    keras.utils.set_random_seed(1)
    images = keras.Input((4, 4), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.BatchNormalization()(x)
    for layer in above:
        x = layer(x)
    return keras.Model(images, keras.layers.Dense(3, activation="softmax")(x))


def head_of(one, images):
    import keras

    from pipeline.training.dropout_samples import DropoutHead

    head = DropoutHead(one, seed=1)
    return head, [np.asarray(x) for x in keras.tree.flatten(head.stem(images))[1:]]


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (50, 4, 4), dtype=np.uint8)


def test_units_are_dropped_and_the_batch_changes_nothing_else(images):
    import keras

    head, features = head_of(model(keras.layers.Dropout(0.5)), images)
    ones = [head.mean(features, num_passes=1) for _ in range(2)]
    assert np.abs(ones[0] - ones[1]).max() > 0.01
    # With batch normalization switched on too, one image alone would answer for all the same.
    (alone,) = [head.mean([one[:1] for one in features], num_passes=4000)]
    together = head.mean(features, num_passes=4000)
    np.testing.assert_allclose(alone[0], together[0], atol=0.02)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-5)


def test_the_seed_alone_decides_what_is_dropped(images):
    import keras

    from pipeline.training.dropout_samples import DropoutHead

    def first_pass(seed):
        # A layer of a user's, which has a seed by chance.
        head = DropoutHead(model(keras.layers.Dropout(0.5, name="own")), seed=seed)
        return head.mean([np.ones_like(x) for x in features], num_passes=1)

    _, features = head_of(model(keras.layers.Dropout(0.5)), images)
    np.testing.assert_array_equal(first_pass(1), first_pass(1))
    assert np.abs(first_pass(1) - first_pass(2)).max() > 0.01


def test_the_mean_over_masks_is_that_of_all_masks():
    """Two inputs, each dropped in half of the passes: four masks."""
    import keras

    inputs = keras.Input((2,))
    dense = keras.layers.Dense(2, activation="softmax", use_bias=False)
    one = keras.Model(inputs, dense(keras.layers.Dropout(0.5)(inputs)))
    dense.set_weights([np.float32([[1, 0], [0, 2]])])
    head, features = head_of(one, np.ones((1, 2), np.float32))
    found = head.mean(features, num_passes=20_000)
    logits = np.array([[0, 0], [2, 0], [0, 4], [2, 4]])
    exact = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(found[0], exact, atol=0.01)


def test_several_heads_drop_each_for_itself(images):
    import keras

    pixels = keras.Input((4, 4), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    # The second head starts from a layer that the first one does not have.
    starts = [flat, keras.layers.Dense(8)(flat)]
    votes = []
    for start in starts:
        x = keras.layers.Dense(8)(keras.layers.Dropout(0.3)(start))
        votes.append(keras.layers.Dense(3, activation="softmax")(keras.layers.Dropout(0.2)(x)))
    head, features = head_of(keras.Model(pixels, keras.layers.Average()(votes)), images)
    assert sorted(one.shape for one in features) == [(50, 8), (50, 16)]
    assert head.mean(features, num_passes=2).shape == (50, 3)


def test_beside_a_head_without_dropout_the_other_one_drops(images):
    import keras

    pixels = keras.Input((4, 4), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    dropped = keras.layers.Dropout(0.5)(keras.layers.Dense(8)(flat))
    votes = [
        keras.layers.Dense(3, activation="softmax")(dropped),
        keras.layers.Dense(3, activation="softmax")(keras.layers.Dense(8)(flat)),
    ]
    head, features = head_of(keras.Model(pixels, keras.layers.Average()(votes)), images)
    first, second = (head.mean(features, num_passes=1) for _ in range(2))
    assert first.shape == (50, 3)
    assert np.abs(first - second).max() > 0.001


def test_what_drops_nothing_or_whole_branches_is_no_dropout():
    import keras

    from pipeline.training.dropout_samples import has_dropout

    branch = keras.layers.Dropout(0.2, noise_shape=(None, 1))
    assert not has_dropout(model(keras.layers.Dropout(0.0), branch))
    assert has_dropout(model(branch, keras.layers.AlphaDropout(0.1)))
