"""Bases of keras.applications: scaling as their weights expect it, and where weights come from."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.bases.load import load_base
from pipeline.bases.model_files import weights_sha256
from pipeline.bases.table import BASES
from pipeline.errors import ConfigError, SourceError
from tests.bases.damage import flip_bit

pytestmark = pytest.mark.keras


@pytest.mark.parametrize(
    ("name", "constructor", "module"),
    [
        ("mobilenet", "MobileNet", "mobilenet"),
        ("vgg16", "VGG16", "vgg16"),
        pytest.param("densenet121", "DenseNet121", "densenet", marks=pytest.mark.slow),
        pytest.param("resnet50", "ResNet50", "resnet50", marks=pytest.mark.families),
        pytest.param("inception_v3", "InceptionV3", "inception_v3", marks=pytest.mark.families),
        pytest.param("convnext_tiny", "ConvNeXtTiny", "convnext", marks=pytest.mark.slow),
        pytest.param("nasnet_mobile", "NASNetMobile", "nasnet", marks=pytest.mark.families),
        pytest.param(
            "inception_resnet_v2",
            "InceptionResNetV2",
            "inception_resnet_v2",
            marks=pytest.mark.families,
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

    from pipeline.bases.graph import output_of, truncate

    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    network = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    (normalization,) = [
        layer for layer in network.layers if type(layer).__name__ == "Normalization"
    ]
    # The published file has the deviations in the place of the variances.
    normalization.adapt_mean.assign([0.485, 0.456, 0.406])
    normalization.adapt_variance.assign(IMAGENET_STDDEV_RGB)
    normalization.finalize_state()
    network.save_weights(tmp_path / "published.weights.h5")
    below = truncate(network, [normalization.name])
    above = keras.Model(output_of(network, normalization.name), network.output)
    expected = np.asarray(above(below(images) / np.sqrt(IMAGENET_STDDEV_RGB).astype(np.float32)))
    base = load_base(
        "efficientnet_b0", image_size=32, weights=str(tmp_path / "published.weights.h5")
    )
    found = base(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.ptp(expected))


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


@pytest.mark.parametrize("deflated", [False, True])
def test_a_damaged_model_file_is_said(published_quarter, tmp_path, deflated):
    import keras

    network = keras.models.load_model(published_quarter[0], compile=False)
    network.save(tmp_path / "quarter.keras")
    flip_bit(tmp_path / "quarter.keras", deflated=deflated)
    with pytest.raises(SourceError, match=r"quarter\.keras does not hold the weights of mobilenet"):
        load_base("mobilenet", image_size=64, weights=str(tmp_path / "quarter.keras"), alpha=0.25)


def test_a_damaged_weight_file_is_said(published_quarter, tmp_path):
    content = bytearray(published_quarter[0].read_bytes())
    # HDF5 has no checksums: wherever it names its groups, a lost block is noticed.
    for start in range(1000, len(content), 20_000):
        content[start : start + 600] = bytes(600)
    (tmp_path / "quarter.h5").write_bytes(content)
    with pytest.raises(ConfigError, match=r"quarter\.h5, which is damaged: .*Get it anew"):
        load_base("mobilenet", image_size=64, weights=str(tmp_path / "quarter.h5"), alpha=0.25)


# In another process: Keras reads the variable when it is imported.
FETCH = """
import sys
from pipeline.errors import SourceError
from pipeline.bases.load import load_base
from pipeline.bases.model_files import weights_sha256
try:
    alpha = float(sys.argv[2]) if len(sys.argv) > 2 else None
    print(weights_sha256(load_base(sys.argv[1], image_size=64, alpha=alpha)))
except SourceError as error:
    print(error)
"""


def fetch(home, *arguments, prefix=()):
    done = subprocess.run(
        [*prefix, sys.executable, "-c", FETCH, *map(str, arguments)],
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
    assert fetch(path.parents[1], "mobilenet", 0.25) == weights_sha256(base)


@pytest.mark.slow
def test_a_file_that_is_not_in_the_cache_is_named_with_its_place(published_quarter):
    folder = published_quarter[0].parent
    assert f"put it here: {folder}/mobilenet_5_0_224_tf_no_top.h5" in fetch(
        folder.parent, "mobilenet", 0.5
    )


@pytest.mark.slow
def test_a_damaged_file_in_the_cache_is_said(published_quarter, tmp_path):
    (tmp_path / "models").mkdir()
    content = published_quarter[0].read_bytes()[:5000]
    (tmp_path / "models" / "mobilenet_2_5_224_tf_no_top.h5").write_bytes(content)
    assert f"in {tmp_path}/models cannot be used" in fetch(tmp_path, "mobilenet", 0.25)


@pytest.fixture
def read_only(tmp_path):
    """A folder for KERAS_HOME, and what to run before a command that must not write there."""
    home = tmp_path / "shared"
    (home / "models").mkdir(parents=True)
    # Root may write everywhere unless it gives its privileges away.
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []

    def read_only(name, content):
        (home / "models" / name).write_bytes(content)
        for folder in (home / "models", home):
            folder.chmod(0o555)
        return home, prefix

    yield read_only
    for folder in (home, home / "models"):
        folder.chmod(0o755)


@pytest.mark.slow
def test_a_file_in_a_cache_that_only_others_may_write_is_used(published_quarter, read_only):
    """Keras itself takes another folder where it may not write."""
    path, _ = published_quarter
    home, prefix = read_only(path.name, path.read_bytes())
    base = load_base("mobilenet", image_size=64, weights=str(path), alpha=0.25)
    assert fetch(home, "mobilenet", 0.25, prefix=prefix) == weights_sha256(base)


@pytest.mark.slow
def test_a_file_in_such_a_cache_must_have_the_hash_that_keras_names(read_only, published_file):
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    home, prefix = read_only(name, published_file[0].read_bytes())
    said = fetch(home, "vgg16", prefix=prefix)
    assert "could not be downloaded" in said
    assert "a file there with another hash does not count" in said


def test_without_a_network_it_says_where_to_put_the_file(tmp_path, monkeypatch):
    # Port 9 of this machine answers nobody: any download fails, also where there is a network.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(SourceError, match="could not be downloaded") as caught:
        load_base("vgg16", image_size=32)
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5" in str(caught.value)
    assert str(tmp_path / "models") in str(caught.value)


def test_other_failures_of_keras_pass():
    from pipeline.bases.applications import _FetchFailures

    with pytest.raises(ZeroDivisionError), _FetchFailures("VGG16"):
        raise ZeroDivisionError
