"""One pass gives what the base gives, cut by cut, within bounded memory."""

import numpy as np
import pytest

from pipeline.errors import DataIntegrityError
from pipeline.models.bases import load_base, preprocessing
from pipeline.models.cuts import find_cuts, named_cuts

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


def embed(base, cuts, batches, folder, *, image_size=32, is_train=IS_TRAIN, progress=id):
    from pipeline.models.embedding import embed_images

    return embed_images(
        base,
        cuts,
        batches,
        image_size=image_size,
        is_train=is_train,
        folder=folder,
        progress=progress,
    )


@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3), (40, 36, 3)])
def test_features_are_the_layers_outputs(base, cuts, tmp_path, shape):
    from pipeline.models.graph import truncate

    images = random_images(20, *shape)
    embed(base, cuts, [images[:8], images[8:16], images[16:]], tmp_path)
    colours = preprocessing(shape, 32)(images)
    for name, expected in zip(NAMES, truncate(base, NAMES)(colours, training=False), strict=True):
        found = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        assert found.dtype == np.float16
        expected = np.asarray(expected)
        # Half a unit in the last of float16's 11 bits, and the order of float32 sums.
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_statistics_are_over_the_train_part(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    moments = embed(base, cuts, [images[:7], images[7:]], tmp_path)
    for name in NAMES:
        features = np.load(tmp_path / f"{name}.npy")[IS_TRAIN].astype(np.float64)
        axes = tuple(range(features.ndim - 1))
        mean, variance = features.mean(axis=axes), features.var(axis=axes)
        # What is stored is rounded to 11 bits, what the statistics are of is not.
        np.testing.assert_allclose(moments[name].mean, mean, atol=1e-3 * np.sqrt(variance.max()))
        np.testing.assert_allclose(moments[name].variance, variance, rtol=1e-2, atol=1e-6)


def test_a_batch_without_train_images_changes_no_statistics(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    is_train = np.arange(20) >= 5
    moments = embed(base, cuts, [images[:5], images[5:]], tmp_path, is_train=is_train)
    assert moments["block2_add"].count == 15 * 8 * 8
    assert np.isfinite(moments["block2_add"].variance).all()


def test_batches_of_any_size_give_the_same(base, cuts, tmp_path):
    images = random_images(20, 28, 28)
    embed(base, cuts, [images], tmp_path / "one")
    embed(base, cuts, np.split(images, [1, 4, 19]), tmp_path / "many")
    for name in NAMES:
        one, many = (np.load(tmp_path / folder / f"{name}.npy") for folder in ("one", "many"))
        np.testing.assert_allclose(one, many, rtol=2e-3, atol=2e-3)


def test_progress_counts_images(base, cuts, tmp_path):
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


def scaling_base(factor):
    import keras

    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Rescaling(factor, name="scaled")(inputs)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(("factor", "value"), [(1000.0, "200000"), (float("inf"), "inf")])
def test_a_value_beyond_float16_is_refused_by_name(tmp_path, factor, value):
    base = scaling_base(factor)
    images = np.ones((20, 4, 4, 3), np.uint8)
    images[13, 2, 2, 1] = 200
    with pytest.raises(
        DataIntegrityError,
        match=rf"scaled must fit float16, at most 65504 in size. Received: {value} for image",
    ) as caught:
        embed(base, find_cuts(base), [images[:10], images[10:]], tmp_path, image_size=4)
    if factor == 1000.0:
        assert "for image 13." in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_no_number_is_refused(tmp_path):
    base = scaling_base(float("nan"))
    with pytest.raises(DataIntegrityError, match="Received: nan for image 0"):
        embed(base, find_cuts(base), [np.ones((20, 4, 4, 3), np.uint8)], tmp_path, image_size=4)


@pytest.mark.parametrize("factor", [1e-7, 1e-12])
def test_values_that_float16_cannot_tell_apart_are_refused(tmp_path, factor):
    base = scaling_base(factor)
    images = random_images(20, 4, 4, 3)
    with pytest.raises(DataIntegrityError, match=r"scaled must vary by 6e-05 or more"):
        embed(base, find_cuts(base), [images], tmp_path, image_size=4)
    assert list(tmp_path.iterdir()) == []


def test_values_that_never_vary_pass(tmp_path):
    base = scaling_base(1.0)
    moments = embed(
        base, find_cuts(base), [np.ones((20, 4, 4, 3), np.uint8)], tmp_path, image_size=4
    )
    assert moments["scaled"].variance.tolist() == [0.0] * 3


def test_the_largest_float16_passes(tmp_path):
    base = scaling_base(65504 / 255)
    images = np.full((20, 4, 4, 3), 255, np.uint8)
    embed(base, find_cuts(base), [images], tmp_path, image_size=4)
    assert np.load(tmp_path / "scaled.npy").max() == 65504


def test_fewer_images_than_announced_leave_no_file(base, cuts, tmp_path):
    with pytest.raises(ValueError, match=r"20 images were announced. Received: 8\."):
        embed(base, cuts[-1:], [random_images(8, 28, 28)], tmp_path)
    assert list(tmp_path.iterdir()) == []
