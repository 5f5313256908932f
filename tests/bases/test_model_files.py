"""Files that are given as a model or as weights: told by content, whatever they are called."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.bases.choice import BaseChoice, check_choice
from pipeline.bases.model_files import (
    check_weight_file,
    read_model_file,
    weight_ending,
    weights_sha256,
)
from pipeline.errors import ConfigError, SourceError

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
OTHERS = {
    "lfs": (LFS, "a Git LFS pointer.*git lfs pull"),
    "dvc": (b"outs:\n- md5: 0\n  path: a.keras\n", "a DVC pointer.*dvc pull"),
    "html": (b"\n<!DOCTYPE html>\n<html>", "a page of the web"),
    "empty": (b"", "an empty file"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(20), "a TensorFlow Lite model"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x05", "an ONNX model"),
    "pickle": (b"\x80\x02}q\x00", "a pickle of Python, as PyTorch writes"),
    "saved_model": (b"\x08\x01\x12\x07", "a TensorFlow SavedModel"),
    "safetensors": (b"\x40\0\0\0\0\0\0\0{", "a safetensors file"),
    "text": (b"hello", "neither a zip archive nor HDF5"),
    "cut": (b"PK\x03\x04abc", "damaged"),
}
ARCHIVES = {
    "model/saved_model.pb": "a zip archive of a TensorFlow SavedModel",
    "archive/data.pkl": "a PyTorch file",
    "best.keras": "a zip archive with best.keras in it. Unpack it",
    "model.weights.h5": "a zip archive without config.json",
}


def choices(path):
    yield BaseChoice(name="own", model=str(path), image_size=32, input_range=[0, 1])
    yield BaseChoice(name="vgg16", model="vgg16", weights=str(path), image_size=32)


def assert_refused(path, said):
    for choice in choices(path):
        with pytest.raises(ConfigError, match=said) as caught:
            check_choice(choice)
        assert "\n" not in str(caught.value)
        assert str(caught.value).count("Received") == 1


@pytest.mark.parametrize("ending", [".keras", ".h5", ".pt"])
@pytest.mark.parametrize("kind", OTHERS)
def test_another_file_is_named_for_what_it_is_under_any_name(tmp_path, kind, ending):
    content, said = OTHERS[kind]
    path = tmp_path / f"file{ending}"
    path.write_bytes(content)
    assert_refused(path, said)


@pytest.mark.parametrize("member", ARCHIVES)
def test_an_archive_of_something_else_is_named(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "file.keras", "w") as archive:
        archive.writestr(member, "x")
    assert_refused(tmp_path / "file.keras", ARCHIVES[member])


def test_a_folder_of_tensorflow_is_named(tmp_path):
    (tmp_path / "saved.model").mkdir()
    (tmp_path / "saved.model" / "saved_model.pb").touch()
    assert_refused(tmp_path / "saved.model", "a TensorFlow SavedModel")


def test_weights_alone_are_no_model(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(ConfigError, match="a file of weights without the model"):
        read_model_file(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("name", ["Lambda", "TFOpLambda"])
def test_a_layer_that_is_code_is_refused_before_it_is_made(tmp_path, name):
    inner = {"class_name": "Sequential", "config": {"layers": [{"class_name": name}]}}
    layers = [{"class_name": "TimeDistributed", "config": {"layer": inner}}]
    with h5py.File(tmp_path / "a.keras", "w") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": layers}})
    with pytest.raises(ConfigError, match=f"a model with {name}, "):
        read_model_file(tmp_path / "a.keras")


def test_check_needs_neither_keras_nor_an_import_of_h5py_for_other_files(tmp_path):
    (tmp_path / "a.keras").write_bytes(LFS)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from pipeline.bases.user_models import check_own_base\n"
        "try:\n    check_own_base(Path(sys.argv[1]), input_range=[0, 1])\n"
        "except ValueError as error:\n    print('LFS' in str(error))\n"
        "print([m for m in ('keras', 'tensorflow', 'h5py') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.keras")],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["True", "[]"]


def network(size=16):
    import keras
    from keras import layers

    inputs = keras.Input((size, size, 3))
    x = layers.Normalization(mean=[0.1] * 3, variance=[2.0] * 3)(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.keras
@pytest.mark.parametrize("written", ["a.h5", "a.keras"])
@pytest.mark.parametrize("named", ["b.h5", "b.keras", "b.model"])
def test_a_model_of_either_format_is_a_base_under_any_name(tmp_path, written, named):
    from pipeline.bases.user_models import load_own_base, own_image_size

    model = network()
    model.save(tmp_path / written)
    (tmp_path / written).rename(tmp_path / named)
    assert own_image_size(tmp_path / named) == 16
    base = load_own_base(tmp_path / named, image_size=16, input_range=(0, 255), name="own")
    x = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(base(x), model(x), rtol=1e-6)


@pytest.mark.keras
def test_weights_of_either_format_load_under_any_name_and_a_classifier_is_named(tmp_path):
    import keras

    from pipeline.bases.load import load_base

    settings = {"weights": None, "input_shape": (32, 32, 3), "alpha": 0.25}
    bare = keras.applications.MobileNet(include_top=False, **settings)
    bare.save(tmp_path / "legacy.h5")
    bare.save_weights(tmp_path / "new.weights.h5")
    (tmp_path / "new.weights.h5").rename(tmp_path / "new.h5")
    assert weight_ending(tmp_path / "new.h5") == ".weights.h5"
    for name in ("legacy.h5", "new.h5"):
        base = load_base("mobilenet", image_size=32, alpha=0.25, weights=str(tmp_path / name))
        np.testing.assert_array_equal(base.get_weights()[0], bare.get_weights()[0])
    keras.applications.MobileNet(include_top=True, **settings).save(tmp_path / "whole.h5")
    with pytest.raises(SourceError, match=r"with its classifier. Take the file whose name ends in"):
        load_base("mobilenet", image_size=32, alpha=0.25, weights=str(tmp_path / "whole.h5"))


pytestmark = pytest.mark.keras


@pytest.fixture
def model():
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])


def test_a_saved_copy_has_the_same_hash(model, tmp_path):
    import keras

    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert weights_sha256(copy) == weights_sha256(model)
    assert len(weights_sha256(model)) == 64


def test_one_changed_value_changes_the_hash(model):
    before = weights_sha256(model)
    weights = model.get_weights()
    weights[2][1, 1] = np.nextafter(weights[2][1, 1], np.float32(9))
    model.set_weights(weights)
    assert weights_sha256(model) != before


def test_the_shape_counts():
    import keras

    hashes = {
        weights_sha256(keras.Sequential([keras.Input((n,)), layer]))
        for n, layer in [
            (2, keras.layers.Dense(3, use_bias=False, kernel_initializer="zeros")),
            (3, keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")),
        ]
    }
    assert len(hashes) == 2


def test_weights_that_would_fill_the_memory_are_refused(tmp_path):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("x", (1_000_000_000,), "u1", chunks=(1_000_000,), compression="gzip")
    with pytest.raises(ConfigError, match=r"weights=.*bomb\.h5.* unpacks to 1,000 MB"):
        check_weight_file(tmp_path / "bomb.h5")


def test_weights_that_would_write_elsewhere_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "out.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("../model.weights.h5", b"")
    with pytest.raises(ConfigError, match=r"weights=.*out\.keras.* writes to '\.\./model"):
        check_weight_file(tmp_path / "out.keras")
