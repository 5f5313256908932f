"""What is loaded is what was registered."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.classifier import load_classifier, quickly_opened
from pipeline.records.model_registry.registered_file import ONNX_FILE, onnx_tags, registered_file
from testing.registering import register

pytestmark = pytest.mark.keras


@pytest.fixture
def registered(root, candidate):
    one = candidate()
    register(open_store(root), one)
    return one


@pytest.mark.parametrize("version", ["@champion", "/1"])
def test_a_registered_model_comes_with_its_class_names(root, registered, version):
    classifier = load_classifier(root, f"models:/digits-classifier{version}")
    assert list(classifier.class_names) == ["zero", "one", "two"]
    images = registered.examples
    np.testing.assert_array_equal(
        classifier.model.predict(images, verbose=0), registered.model.predict(images, verbose=0)
    )


def test_it_says_which_version_it_is(root, registered):
    classifier = load_classifier(root, "models:/digits-classifier@champion")
    assert classifier.source == "digits-classifier version 1"


def test_a_file_is_loaded_without_a_store(root, registered, tmp_path):
    classifier = load_classifier(tmp_path / "nowhere", str(registered.model_file))
    assert classifier.class_names == ()
    assert classifier.model.output_shape == (None, 3)


@pytest.mark.parametrize(
    "uri", ["models:/digits-classifier@best", "models:/digits-classifier/9", "models:/other/1"]
)
def test_a_model_that_is_not_there_is_said_in_one_line(root, registered, uri):
    with pytest.raises(ConfigError, match=rf"There is no such model: .*--model {uri}") as caught:
        load_classifier(root, uri)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(root):
    with pytest.raises(DataIntegrityError, match=r"no model file models/x\.keras"):
        load_classifier(root, "models/x.keras")


def test_no_store_is_said(tmp_path):
    with pytest.raises(ConfigError, match="Nothing has been recorded yet"):
        load_classifier(tmp_path, "models:/digits-classifier@champion")


def test_a_registered_file_that_was_changed_is_refused(root, registered):
    (file,) = (root / "mlruns").rglob("model.keras")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataIntegrityError, match="must be the file that was registered"):
        load_classifier(root, "models:/digits-classifier@champion")


def test_a_registered_file_that_is_gone_is_refused(root, registered):
    (file,) = (root / "mlruns").rglob("model.keras")
    file.unlink()
    with pytest.raises(DataIntegrityError, match="Received: no file"):
        load_classifier(root, "models:/digits-classifier@champion")


def test_where_the_runtime_cannot_load_its_file_keras_answers(root, registered, caplog):
    content = b"no graph of ONNX"
    with registered_file(root, "models:/digits-classifier@champion", asked_by="--model") as file:
        (file.folder / ONNX_FILE).write_bytes(content)
        classifier = quickly_opened(replace(file, tags={**file.tags, **onnx_tags(content)}))
        images = registered.examples
        np.testing.assert_array_equal(
            classifier.model.predict(images, verbose=0),
            registered.model.predict(images, verbose=0),
        )
    assert "answering through TensorFlow, since ONNX Runtime says" in caplog.text
