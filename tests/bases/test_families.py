"""Every kind of network: cut and joined again it is the same, and exported it answers the same."""

import numpy as np
import pytest

from pipeline.bases.cuts import find_cuts
from pipeline.bases.load import load_base
from pipeline.bases.table import BASES, preprocessing
from pipeline.features.saved_base import load_saved_base, save_base
from pipeline.training.export import Member, export, load_exported, predict_probabilities
from pipeline.training.head import build_head
from tests.bases.networks import GRAPHS
from tests.bases.small_base import from_cache

pytestmark = pytest.mark.keras

slow, families = pytest.mark.slow, pytest.mark.families
NUM_IMAGES = 1000


def random_base(name):
    import keras

    keras.utils.set_random_seed(0)
    return load_base(name, image_size=BASES[name].min_image_size, weights="random")


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("efficientnet_lite0", "residual"),
        ("vgg16", "chain"),
        pytest.param("mobilenet_v3_small", "residual, with bare operations", marks=slow),
        pytest.param("resnet50", "residual", marks=families),
        pytest.param("convnext_tiny", "residual, of models in a model", marks=families),
        pytest.param("inception_v3", "inception", marks=families),
        pytest.param("densenet121", "dense", marks=families),
        pytest.param("nasnet_mobile", "cells that take the last two", marks=families),
    ],
)
def test_cutting_at_every_cut_point_and_joining_again_changes_nothing(name, graph):
    base = random_base(name)
    assert len(find_cuts(base)) >= 5, graph
    check_cuts(base)


@pytest.mark.parametrize("graph", sorted(GRAPHS))
def test_cutting_small_networks_of_every_graph_and_joining_again_changes_nothing(graph):
    check_cuts(GRAPHS[graph]())


def check_cuts(base):
    """All cuts at once: each piece computes the next cut from the last one's output alone."""
    import keras

    from pipeline.bases.graph import output_of, truncate

    cuts = [cut.name for cut in find_cuts(base)]
    images = np.random.default_rng(0).uniform(0, 255, (2, *base.input.shape[1:]))
    x = images = images.astype(np.float32)
    expected = truncate(base, cuts)(images)
    below = base.input
    for cut, output in zip(cuts, expected, strict=True):
        tensor = output_of(base, cut)
        x = keras.Model(below, tensor)(x)
        assert np.abs(x - output).max() <= 1e-5 * np.abs(output).max(), cut
        below = tensor
    whole = np.asarray(base(images))
    assert np.abs(x - whole).max() <= 1e-5 * np.abs(whole).max()


def digits():
    """Images of scikit-learn's digits, gray, 8 pixels, and their classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[:NUM_IMAGES] * 15).astype(np.uint8), found.target[:NUM_IMAGES]


def cached(base, cut, images):
    """What a trial trains on: what `embed` keeps of it."""
    from pipeline.bases.graph import truncate

    below, front = truncate(base, [cut]), preprocessing(images.shape[1:], base.input.shape[1])
    parts = [below(front(part), training=False) for part in np.array_split(images, 20)]
    return from_cache(np.concatenate(parts))


def trained_on(features, labels, hyperparameters):
    """A head that knows a little; an untrained one is undecided between classes."""
    wide = features.astype(np.float64)
    axes = tuple(range(wide.ndim - 1))
    head = build_head(
        features.shape[1:],
        10,
        hyperparameters(num_layers=1, units=32),
        mean=wide.mean(axis=axes).tolist(),
        variance=wide.var(axis=axes).tolist(),
        seed=5,
    )
    head.compile("adam", "sparse_categorical_crossentropy")
    head.fit(features, labels, epochs=3, verbose=0)
    return head


def check_export(folder, base, cut, hyperparameters):
    images, labels = digits()
    features = cached(base, cut, images)
    assert features.std() > 1e-3, "random weights fade below float16"
    trained = trained_on(features, labels, hyperparameters)
    save_base(base, folder)
    export(
        folder / "study.keras",
        [Member(trained=trained, cut=cut)],
        image_shape=images.shape[1:],
        image_size=base.input.shape[1],
        base=load_saved_base(folder),
    )
    found = predict_probabilities(load_exported(folder / "study.keras"), images)
    expected = trained.predict(features, verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.1, "the head tells images apart"
    assert np.abs(found - expected).max() <= 1e-3
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.999


@pytest.fixture
def folder(tmp_path):
    """Returns a folder of features for a base: only what its saved file is checked against."""
    from pipeline.bases.model_files import weights_sha256
    from testing.features import write_cuts

    def folder(base):
        write_cuts(tmp_path, weights_sha256=weights_sha256(base))
        return tmp_path

    return folder


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("vgg16", marks=slow),
        pytest.param("resnet50", marks=families),
        pytest.param("densenet121", marks=families),
        pytest.param("inception_v3", marks=families),
        pytest.param("efficientnet_v2_b0", marks=families),
        pytest.param("convnext_tiny", marks=families),
    ],
)
def test_the_exported_model_of_every_family_answers_as_the_cached_path(
    name, folder, hyperparameters
):
    base = random_base(name)
    ends = [cut.name for cut in find_cuts(base) if cut.ends_block]
    check_export(folder(base), base, ends[len(ends) // 2], hyperparameters)


@pytest.mark.parametrize(("graph", "cut"), [("models_inside", "block0"), ("dense", "joined_0")])
def test_the_exported_model_of_small_networks_answers_as_the_cached_path(
    graph, cut, folder, hyperparameters
):
    base = GRAPHS[graph]()
    check_export(folder(base), base, cut, hyperparameters)


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["block4_add", "avg_pool"])
def test_the_exported_model_of_lite0_answers_as_the_cached_path(cut, folder, hyperparameters):
    base = load_base("efficientnet_lite0", image_size=64)
    check_export(folder(base), base, cut, hyperparameters)
