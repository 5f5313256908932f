"""Bases of keras.applications: scaling as their weights expect it, and where weights come from."""

import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.models.bases import BASES, load_base

pytestmark = pytest.mark.keras


@pytest.mark.parametrize(
    ("name", "constructor", "module"),
    [
        ("mobilenet", "MobileNet", "mobilenet"),
        ("vgg16", "VGG16", "vgg16"),
        pytest.param("densenet121", "DenseNet121", "densenet", marks=pytest.mark.slow),
        pytest.param("resnet50", "ResNet50", "resnet50", marks=pytest.mark.slow),
        pytest.param("inception_v3", "InceptionV3", "inception_v3", marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", "EfficientNetB0", "efficientnet", marks=pytest.mark.slow),
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


def test_a_missing_file_is_refused():
    with pytest.raises(SourceError, match=r"must be a file. Received: nowhere\.h5"):
        load_base("vgg16", image_size=32, weights="nowhere.h5")


def test_without_a_network_it_says_where_to_put_the_file(tmp_path, monkeypatch):
    # Port 9 of this machine answers nobody: any download fails, also where there is a network.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(SourceError, match="could not be downloaded") as caught:
        load_base("vgg16", image_size=32)
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5" in str(caught.value)
    assert str(tmp_path / "models") in str(caught.value)


def test_other_failures_of_keras_pass():
    from pipeline.models.applications import _DownloadFailures

    with pytest.raises(ZeroDivisionError), _DownloadFailures("VGG16"):
        raise ZeroDivisionError
