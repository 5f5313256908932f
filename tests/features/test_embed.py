"""One pass gives what the base gives, cut by cut, within bounded memory."""

import numpy as np
import pytest

from pipeline.bases.cuts import find_cuts, named_cuts
from pipeline.bases.load import load_base
from pipeline.bases.table import preprocessing
from pipeline.errors import DataIntegrityError
from pipeline.features.arrays import ImageSet
from pipeline.features.joined_cuts import joined_cut
from pipeline.features.pooling import pooled_cuts

pytestmark = pytest.mark.keras

# Low in the network, so that little has to be compiled.
NAMES = ["block0_bn2", "block2_add"]
IS_TRAIN = np.random.default_rng(1).random(20) < 0.6


@pytest.fixture(scope="module")
def base():
    return load_base("efficientnet_lite0", image_size=32)


@pytest.fixture(scope="module")
def cuts(base):
    limits = {"num_images": 20, "max_bytes": 10**9}
    return named_cuts(find_cuts(base), NAMES, where="cuts", **limits)


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def embed(base, cuts, batches, folder, *, is_train=IS_TRAIN, progress=id):
    from pipeline.features.embed import embed_images, network_to_cuts
    from pipeline.features.frozen import freeze

    batches = list(batches)
    images = ImageSet(image_shape=batches[0].shape[1:], num_classes=2, is_train=is_train)
    num_views = (sum(map(len, batches)) - len(is_train)) // images.num_train
    front = preprocessing(images.image_shape, base.input.shape[1])
    network = network_to_cuts(base, [cut.feed for cut in cuts], front=front)
    return embed_images(
        freeze(network, batches[0], num_images=len(is_train)),
        cuts,
        batches,
        rows=images.rows(max(num_views, 0)),
        folder=folder,
        progress=progress,
    )


def rounding(folder, name):
    """Half a unit in the last of float16's 11 bits, of each value."""
    return 2.0**-11 * np.abs(np.load(folder / f"{name}.npy").astype(np.float64))


def restored(folder, name, arrays):
    """What a training makes of a file: its values and the centre that the manifest gives."""
    return np.load(folder / f"{name}.npy").astype(np.float64) + arrays[name].centre


@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3), (40, 36, 3)])
def test_features_are_the_layers_outputs(base, cuts, tmp_path, shape):
    from pipeline.bases.graph import truncate

    images = random_images(20, *shape)
    arrays = embed(base, cuts, [images[:8], images[8:16], images[16:]], tmp_path)
    colours = preprocessing(shape, 32)(images)
    for name, expected in zip(NAMES, truncate(base, NAMES)(colours, training=False), strict=True):
        assert np.load(tmp_path / f"{name}.npy", mmap_mode="r").dtype == np.float16
        found, expected = restored(tmp_path, name, arrays), np.asarray(expected)
        # Half a unit in the last of float16's 11 bits, and the order of float32 sums.
        rounding = 2.0**-11 * np.abs(expected - arrays[name].centre)
        assert (np.abs(found - expected) <= rounding + 1e-4 * np.abs(expected).max()).all()


def test_a_channel_far_from_zero_is_as_exact_as_others(tmp_path):
    """A head divides by the deviation, and multiplies what rounding took as well."""
    base = scaling_base(1e-3, offset=6.0)
    images = random_images(20, 4, 4, 3)
    arrays = embed(base, find_cuts(base), [images[:8], images[8:]], tmp_path)
    expected = 6.0 + 1e-3 * images.astype(np.float64)
    error = np.abs(restored(tmp_path, "scaled", arrays) - expected).max()
    assert error < 1e-3 * expected.std()
    # As they are, float16 spends most of its bits on the 6.
    assert np.abs(expected.astype(np.float16) - expected).max() > 1e-2 * expected.std()


def test_statistics_are_over_the_train_part(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    arrays = embed(base, cuts, [images[:7], images[7:]], tmp_path)
    for name in NAMES:
        features = restored(tmp_path, name, arrays)[IS_TRAIN]
        axes = tuple(range(features.ndim - 1))
        mean, variance = features.mean(axis=axes), features.var(axis=axes)
        # What is stored is rounded to 11 bits, what the statistics are of is not.
        np.testing.assert_allclose(arrays[name].mean, mean, atol=1e-3 * np.sqrt(variance.max()))
        np.testing.assert_allclose(arrays[name].variance, variance, rtol=1e-2, atol=1e-6)


def test_a_batch_without_train_images_changes_no_statistics(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    is_train = np.arange(20) >= 5
    arrays = embed(base, cuts, [images[:5], images[5:]], tmp_path, is_train=is_train)
    again = embed(base, cuts, [images[:9], images[9:]], tmp_path, is_train=is_train)
    for name in NAMES:
        np.testing.assert_allclose(arrays[name].mean, again[name].mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(arrays[name].variance, again[name].variance, rtol=1e-5)


def test_batches_of_any_size_give_the_same(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    arrays_of_one = embed(base, cuts, [images], tmp_path / "one")
    arrays_of_many = embed(base, cuts, np.split(images, [1, 4, 19]), tmp_path / "many")
    for name in NAMES:
        one = restored(tmp_path / "one", name, arrays_of_one)
        many = restored(tmp_path / "many", name, arrays_of_many)
        bound = rounding(tmp_path / "one", name) + rounding(tmp_path / "many", name)
        assert (np.abs(one - many) <= bound + 1e-5 * np.abs(one).max()).all()


def test_progress_counts_rows(base, cuts, tmp_path):
    images, seen = random_images(20, 28, 28), []
    embed(base, cuts[-1:], np.split(images, [7, 14]), tmp_path, progress=seen.append)
    assert seen == [7, 7, 6]


def test_layers_above_the_last_cut_do_not_run(base, cuts, tmp_path):
    import keras

    # The top of this base fails when it runs; the cut lies below it.
    x = keras.layers.Rescaling(np.nan, name="above")(base.get_layer("block2_add").output)
    broken = keras.Model(base.input, x)
    embed(broken, cuts, [random_images(20, 28, 28)], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["block0_bn2.npy", "block2_add.npy"]


def scaling_base(factor, offset=0.0):
    import keras

    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Rescaling(factor, offset=offset, name="scaled")(inputs)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(("factor", "value"), [(1000.0, "200000"), (float("inf"), "inf")])
def test_a_value_beyond_float16_is_refused_by_name(tmp_path, factor, value):
    base = scaling_base(factor)
    images = np.ones((20, 4, 4, 3), np.uint8)
    images[13, 2, 2, 1] = 200
    with pytest.raises(
        DataIntegrityError,
        match=r"scaled must fit float16, at most 65504 away from the mean of the first batch. "
        rf"Received: {value} for image",
    ) as caught:
        embed(base, find_cuts(base), [images[:10], images[10:]], tmp_path)
    if factor == 1000.0:
        assert "for image 13." in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_it_is_the_distance_from_the_centre_that_must_fit_float16(tmp_path):
    close = scaling_base(1.0, offset=1e5)
    images = random_images(20, 4, 4, 3)
    arrays = embed(close, find_cuts(close), [images], tmp_path)
    np.testing.assert_allclose(restored(tmp_path, "scaled", arrays), images + 1e5, atol=0.1)
    far = scaling_base(470.0, offset=-60000.0)
    images[:10], images[10:] = 0, 255
    with pytest.raises(DataIntegrityError, match="Received: 59850 for image 10"):
        embed(far, find_cuts(far), [images[:10], images[10:]], tmp_path / "far")


def test_a_value_that_is_no_number_is_refused(tmp_path):
    base = scaling_base(float("nan"))
    with pytest.raises(DataIntegrityError, match="Received: nan for image 0"):
        embed(base, find_cuts(base), [np.ones((20, 4, 4, 3), np.uint8)], tmp_path)


@pytest.mark.parametrize("factor", [1e-7, 1e-12])
def test_values_that_float16_cannot_tell_apart_are_refused(tmp_path, factor):
    base = scaling_base(factor)
    images = random_images(20, 4, 4, 3)
    with pytest.raises(DataIntegrityError, match=r"scaled must vary by 6e-05 or more"):
        embed(base, find_cuts(base), [images], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_values_that_never_vary_pass(tmp_path):
    base = scaling_base(1.0)
    arrays = embed(base, find_cuts(base), [np.ones((20, 4, 4, 3), np.uint8)], tmp_path)
    assert arrays["scaled"].variance == [0.0] * 3


def test_the_largest_float16_passes(tmp_path):
    base = scaling_base(65504 / 255)
    images = np.full((20, 4, 4, 3), 255, np.uint8)
    images[:10] = 0
    embed(base, find_cuts(base), [images[:10], images[10:]], tmp_path)
    assert np.load(tmp_path / "scaled.npy").max() == 65504


def test_fewer_images_than_announced_leave_no_file(base, cuts, tmp_path):
    with pytest.raises(ValueError, match=r"20 rows were announced. Received: 8\."):
        embed(base, cuts[-1:], [random_images(8, 28, 28)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_mirrored_row_is_the_mirrored_image_through_the_same_layers(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    mirrored = images[IS_TRAIN][:, :, ::-1]
    arrays = embed(base, cuts, [images, mirrored], tmp_path / "views")
    # After the same first batch, and so around the same centre.
    batches = [images, np.ascontiguousarray(images[:, :, ::-1])]
    is_train = np.concatenate([np.zeros_like(IS_TRAIN), IS_TRAIN])
    alone = embed(base, cuts, batches, tmp_path / "alone", is_train=is_train)
    for name in NAMES:
        rows, flipped = (np.load(tmp_path / f / f"{name}.npy") for f in ("views", "alone"))
        np.testing.assert_array_equal(rows[20:], flipped[20:][IS_TRAIN])
        # The statistics are of the images as they are.
        assert arrays[name].mean != alone[name].mean
    plain = embed(base, cuts, [images], tmp_path / "plain")
    assert [arrays[name].mean for name in NAMES] == [plain[name].mean for name in NAMES]


@pytest.mark.parametrize(("pooling", "shape"), [("average", (4, 4, 24)), ("global", (24,))])
def test_what_is_kept_of_a_pooled_cut_is_the_average(base, cuts, tmp_path, pooling, shape):
    images = random_images(20, 28, 28)
    whole_arrays = embed(base, cuts, [images], tmp_path / "whole")
    pooled = pooled_cuts(cuts, {"block2_add": pooling}, where="pooling")
    arrays = embed(base, pooled, [images], tmp_path)
    found = restored(tmp_path, "block2_add", arrays)
    whole = restored(tmp_path / "whole", "block2_add", whole_arrays)
    parts = whole.reshape(20, 4, 2, 4, 2, 24) if pooling == "average" else whole
    expected = parts.mean(axis=(2, 4) if pooling == "average" else (1, 2))
    assert found.shape == (20, *shape)
    # Half a unit in the last of float16's 11 bits, of the values before averaging and after.
    rounding = 1e-3 * np.abs(whole).max()
    np.testing.assert_allclose(found, expected, atol=rounding)
    mean = expected[IS_TRAIN].mean(axis=tuple(range(found.ndim - 1)))
    np.testing.assert_allclose(arrays["block2_add"].mean, mean, atol=rounding)
    both = [np.load(tmp_path / folder / "block0_bn2.npy") for folder in (".", "whole")]
    np.testing.assert_array_equal(*both)


def test_a_view_beyond_float16_is_named_by_its_image(tmp_path):
    base = scaling_base(1000.0)
    images = np.ones((20, 4, 4, 3), np.uint8)
    view = images[IS_TRAIN]
    view[2, 0, 0, 0] = 200
    number = np.flatnonzero(IS_TRAIN)[2]
    with pytest.raises(DataIntegrityError, match=rf"Received: 200000 for image {number}\."):
        embed(base, find_cuts(base), [images, view], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_computed_alone_is_bit_equal_to_the_same_beside_others(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    together = embed(base, cuts, [images], tmp_path / "together")
    for cut in cuts:
        alone = embed(base, [cut], [images], tmp_path / cut.name)
        assert alone[cut.name] == together[cut.name]


def test_statistics_of_a_base_in_half_precision_are_of_single_precision(tmp_path):
    """The variance of what fits float16 need not fit it."""
    import keras

    inputs = keras.Input((4, 4, 3))
    scaled = keras.layers.Rescaling(200.0, name="scaled", dtype="mixed_float16")(inputs)
    base = keras.Model(inputs, scaled)
    images = random_images(20, 4, 4, 3)
    arrays = embed(base, find_cuts(base), [images], tmp_path)
    expected = 200.0 * images[IS_TRAIN].astype(np.float64)
    array = arrays["scaled"]
    np.testing.assert_allclose(array.mean, expected.mean(axis=(0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(array.variance, expected.var(axis=(0, 1, 2)), rtol=1e-3)


class TestSideBySide:
    NAME = "block0_bn2:grid4+block2_add:none"

    @pytest.fixture
    def both(self, base, cuts):
        return [*cuts, joined_cut(self.NAME, find_cuts(base), where="cuts")]

    def test_they_are_what_each_is_pooled_and_flattened(self, base, both, tmp_path):
        images = random_images(20, 28, 28)
        arrays = embed(base, both, [images[:8], images[8:]], tmp_path)
        low, high = (restored(tmp_path, name, arrays) for name in NAMES)
        low = low.reshape(20, 4, 4, 4, 4, 16).mean(axis=(2, 4))
        expected = np.concatenate([low.reshape(20, -1), high.reshape(20, -1)], axis=1)
        found = restored(tmp_path, self.NAME, arrays)
        assert found.shape == (20, 4 * 4 * 16 + 8 * 8 * 24)
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())

    def test_all_positions_of_a_channel_share_its_statistics(self, base, both, tmp_path):
        images = random_images(20, 28, 28)
        arrays = embed(base, both, [images[:8], images[8:]], tmp_path)
        values = restored(tmp_path, self.NAME, arrays)[IS_TRAIN]
        low, high = values[:, :256].reshape(-1, 16), values[:, 256:].reshape(-1, 24)
        mean = [*np.tile(low.mean(axis=0), 16), *np.tile(high.mean(axis=0), 64)]
        variance = [*np.tile(low.var(axis=0), 16), *np.tile(high.var(axis=0), 64)]
        np.testing.assert_allclose(arrays[self.NAME].mean, mean, atol=1e-3 * np.sqrt(max(variance)))
        np.testing.assert_allclose(arrays[self.NAME].variance, variance, rtol=1e-2)
        # As those of the cut by itself.
        alone = arrays["block2_add"]
        np.testing.assert_allclose(arrays[self.NAME].mean[-24:], alone.mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(arrays[self.NAME].variance[-24:], alone.variance, rtol=1e-4)

    def test_a_part_too_close_together_for_float16_is_named(self, tmp_path):
        import keras

        inputs = keras.Input((4, 4, 3))
        low = keras.layers.Rescaling(1.0, name="wide")(inputs)
        model = keras.Model(inputs, keras.layers.Rescaling(1e-9, name="small")(low))
        cut = joined_cut("wide+small", find_cuts(model), where="cuts")
        with pytest.raises(DataIntegrityError, match=r"Activations of small must vary"):
            embed(model, [cut], [random_images(20, 4, 4, 3)], tmp_path)
