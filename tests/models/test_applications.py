"""Bases of keras.applications: scaling as their weights expect it, and where weights come from."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.models.bases import BASES, load_base
from pipeline.models.weights import weights_sha256

pytestmark = pytest.mark.keras


@pytest.mark.parametrize(
    ("name", "constructor", "module"),
    [
        ("mobilenet", "MobileNet", "mobilenet"),
        ("vgg16", "VGG16", "vgg16"),
        pytest.param("densenet121", "DenseNet121", "densenet", marks=pytest.mark.slow),
        pytest.param("resnet50", "ResNet50", "resnet50", marks=pytest.mark.slow),
        pytest.param("inception_v3", "InceptionV3", "inception_v3", marks=pytest.mark.slow),
        pytest.param("convnext_tiny", "ConvNeXtTiny", "convnext", marks=pytest.mark.slow),
        pytest.param("nasnet_mobile", "NASNetMobile", "nasnet", marks=pytest.mark.slow),
        pytest.param(
            "inception_resnet_v2",
            "InceptionResNetV2",
            "inception_resnet_v2",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_published_weights_give_the_published_features(tmp_path, name, constructor, module):
    import keras

    size = BASES[name].min_image_size
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)
    network = getattr(keras.applications, constructor)(
        include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    network.save_weights(tmp_path / "published.weights.h5")
    scale = getattr(keras.applications, module).preprocess_input
    expected = np.asarray(network(scale(images.copy())))
    base = load_base(name, image_size=size, weights=str(tmp_path / "published.weights.h5"))
    np.testing.assert_allclose(base(images), expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.slow
def test_a_file_of_efficientnet_gets_the_scaling_that_keras_adds_to_fetched_weights(tmp_path):
    """Keras puts a layer after the normalization, but only when it fetches the weights itself."""
    import keras
    from keras.src.applications.efficientnet import IMAGENET_STDDEV_RGB

    from pipeline.models.graph import split_at

    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    network = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    network.save_weights(tmp_path / "published.weights.h5")
    (normalization,) = [
        layer.name for layer in network.layers if type(layer).__name__ == "Normalization"
    ]
    below, above = split_at(network, normalization)
    expected = np.asarray(above(below(images) / np.sqrt(IMAGENET_STDDEV_RGB).astype(np.float32)))
    base = load_base(
        "efficientnet_b0", image_size=32, weights=str(tmp_path / "published.weights.h5")
    )
    np.testing.assert_allclose(base(images), expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_names_do_not_depend_on_what_was_built_before():
    first = load_base("mobilenet_v3_small", image_size=32, weights="random")
    second = load_base("mobilenet_v3_small", image_size=32, weights="random")
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert "activation_17" in [layer.name for layer in first.layers]


@pytest.fixture(scope="module")
def published_file(tmp_path_factory):
    """A weight file in the form that keras.applications downloads, of another seed."""
    import keras

    keras.utils.set_random_seed(3)
    network = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    path = tmp_path_factory.mktemp("weights") / "mobilenet_1_0_224_tf_no_top.weights.h5"
    network.save_weights(path)
    return path, network.get_weights()


def test_weights_come_from_a_file(published_file):
    path, weights = published_file
    base = load_base("mobilenet", image_size=32, weights=str(path))
    for found, expected in zip(base.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_file_of_another_network_is_refused(published_file):
    with pytest.raises(SourceError, match="does not hold the weights of vgg16"):
        load_base("vgg16", image_size=32, weights=str(published_file[0]))


@pytest.fixture(scope="module")
def published_quarter(tmp_path_factory):
    """MobileNet of a quarter of the width, in the old file format that Keras publishes."""
    import keras

    keras.utils.set_random_seed(4)
    network = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(224, 224, 3), alpha=0.25
    )
    home = tmp_path_factory.mktemp("keras")
    path = home / "models" / "mobilenet_2_5_224_tf_no_top.h5"
    path.parent.mkdir()
    network.save(path)
    return path, network.get_weights()


def check_weights(base, weights):
    for found, expected in zip(base.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_narrow_network_comes_from_a_file(published_quarter):
    path, weights = published_quarter
    base = load_base("mobilenet", image_size=64, weights=str(path), alpha=0.25)
    assert base.output.shape == (None, 256)
    check_weights(base, weights)


def test_a_file_of_another_width_is_refused(published_quarter):
    with pytest.raises(SourceError, match=r"the weights of mobilenet: .* same alpha"):
        load_base("mobilenet", image_size=64, weights=str(published_quarter[0]), alpha=0.5)


# In another process: Keras reads the variable when it is imported.
FETCH = """
import sys
from pipeline.errors import SourceError
from pipeline.models.bases import load_base
from pipeline.models.weights import weights_sha256
try:
    print(weights_sha256(load_base("mobilenet", image_size=64, alpha=float(sys.argv[1]))))
except SourceError as error:
    print(error)
"""


def fetch(home, alpha):
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(alpha)],
        env={**os.environ, "KERAS_HOME": str(home), "https_proxy": "http://127.0.0.1:9"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_a_file_in_the_cache_of_keras_is_used_without_a_network(published_quarter):
    path, _ = published_quarter
    base = load_base("mobilenet", image_size=64, weights=str(path), alpha=0.25)
    assert fetch(path.parents[1], 0.25) == weights_sha256(base)


@pytest.mark.slow
def test_a_file_that_is_not_in_the_cache_is_named_with_its_place(published_quarter):
    folder = published_quarter[0].parent
    assert f"put it here: {folder}/mobilenet_5_0_224_tf_no_top.h5" in fetch(folder.parent, 0.5)


@pytest.mark.slow
def test_a_damaged_file_in_the_cache_is_said(published_quarter, tmp_path):
    (tmp_path / "models").mkdir()
    content = published_quarter[0].read_bytes()[:5000]
    (tmp_path / "models" / "mobilenet_2_5_224_tf_no_top.h5").write_bytes(content)
    assert f"in {tmp_path}/models cannot be used" in fetch(tmp_path, 0.25)


def test_without_a_network_it_says_where_to_put_the_file(tmp_path, monkeypatch):
    # Port 9 of this machine answers nobody: any download fails, also where there is a network.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(SourceError, match="could not be downloaded") as caught:
        load_base("vgg16", image_size=32)
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5" in str(caught.value)
    assert str(tmp_path / "models") in str(caught.value)


def test_other_failures_of_keras_pass():
    from pipeline.models.applications import _FetchFailures

    with pytest.raises(ZeroDivisionError), _FetchFailures("VGG16"):
        raise ZeroDivisionError
