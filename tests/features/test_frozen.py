"""A frozen network computes what the Keras model computes, whichever engine runs it."""

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from pipeline.features import frozen
from pipeline.features.frozen import freeze, largest_difference

pytestmark = pytest.mark.keras

MANY = 10**12


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def small_network(size=16, *, seed=1, stored=None, extra=None, dtype="float32"):
    """Raw images to two outputs, with what a converter can get wrong: padding, statistics."""
    import keras
    from keras import layers

    from pipeline.bases.table import preprocessing
    from tests.bases.made_models import shaken

    keras.utils.set_random_seed(seed)
    front = preprocessing(stored or (size, size, 3), size)
    x = layers.Conv2D(4, 3, strides=2, padding="same", dtype=dtype)(front.output)
    x = low = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Dropout(0.5)(layers.DepthwiseConv2D(5, strides=2, padding="same")(x))
    x = extra(x) if extra else x
    top = layers.GlobalAveragePooling2D()(x)
    return shaken(keras.Model(front.input, [top, low], name="small"))


def expected(model, images):
    import keras

    return [np.asarray(output) for output in keras.tree.flatten(model(images, training=False))]


@pytest.mark.parametrize(("num_images", "engine"), [(10, "tensorflow"), (MANY, "onnxruntime")])
@pytest.mark.parametrize("stored", [(16, 16, 3), (23, 40), (9, 9, 3)])
def test_outputs_are_those_of_the_model_in_its_order(num_images, engine, stored):
    model, images = small_network(stored=stored), random_images(21, *stored)
    network = freeze(model, images, num_images=num_images, size_of_batch=8)
    assert (network.engine, network.batch_size) == (engine, 8)
    found = network(images)
    assert [output.dtype for output in found] == [np.float32, np.float32]
    assert largest_difference(found, expected(model, images)) < 1e-4


def test_a_graph_that_computes_something_else_is_not_used(monkeypatch):
    from pipeline.features import onnx_graph

    def converted(model):
        other = small_network(seed=2)
        model.set_weights(other.get_weights())
        return as_it_should(model)

    as_it_should = onnx_graph.OnnxGraph
    monkeypatch.setattr(onnx_graph, "OnnxGraph", converted)
    model, images = small_network(), random_images(4, 16, 16, 3)
    wanted = expected(model, images)
    network = freeze(model, images, num_images=MANY)
    assert network.engine == "tensorflow"
    assert network.reason.startswith("converted, it is ")
    assert largest_difference(network(images), wanted) < 1e-4


def test_tensorflow_can_be_asked_for():
    model, images = small_network(), random_images(4, 16, 16, 3)
    assert freeze(model, images, num_images=MANY, engine="tensorflow").engine == "tensorflow"


def test_where_the_engines_differ_tensorflow_runs_it(monkeypatch, caplog):
    monkeypatch.setattr(frozen, "LARGEST_DIFFERENCE", -1.0)
    model, images = small_network(), random_images(4, 16, 16, 3)
    with caplog.at_level(logging.INFO):
        network = freeze(model, images, num_images=MANY)
    assert network.engine == "tensorflow"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("small runs in TensorFlow, not in ONNX Runtime: converted, it is ")
    assert largest_difference(network(images), expected(model, images)) < 1e-4


def scaled(x):
    """As a head does: by means and variances of its own, of more values than TensorFlow inlines."""
    from keras import layers

    x = layers.Conv2D(200, 1)(x)
    spread = np.linspace(0.5, 2.0, 200)
    return layers.Normalization(mean=spread - 1, variance=spread)(x)


def test_scaling_of_many_features_is_converted_and_stays_as_it_was():
    model, images = small_network(extra=scaled), random_images(9, 16, 16, 3)
    (layer,) = [layer for layer in model.layers if layer.name[:13] == "normalization"]
    before = layer.mean, layer.variance
    network = freeze(model, images, num_images=MANY)
    assert network.engine == "onnxruntime"
    assert largest_difference(network(images), expected(model, images)) < 1e-4
    assert all(now is then for now, then in zip((layer.mean, layer.variance), before, strict=True))


def uncommon_layer(x):
    from keras import ops

    # An incomplete gamma function, which ONNX has no operation for.
    return ops.erfinv(ops.tanh(x) * 0.9)


def test_a_layer_that_cannot_be_converted_is_named_in_one_line(caplog):
    model, images = small_network(extra=uncommon_layer), random_images(4, 16, 16, 3)
    with caplog.at_level(logging.INFO):
        network = freeze(model, images, num_images=MANY)
    assert network.engine == "tensorflow"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("small runs in TensorFlow, not in ONNX Runtime: it cannot be converted")
    assert "\n" not in line
    assert "Erfinv" in line
    assert largest_difference(network(images), expected(model, images)) < 1e-4


def test_half_precision_stays_in_tensorflow():
    model, images = small_network(dtype="mixed_float16"), random_images(4, 16, 16, 3)
    network = freeze(model, images, num_images=MANY)
    assert network.engine == "tensorflow"
    assert network.reason.endswith("computes in float16")
    assert [output.dtype for output in network(images)] == [np.float32, np.float32]


def test_a_gpu_keeps_what_it_is_there_for(monkeypatch):
    import tensorflow as tf

    # There is none where tests run; the question is what follows from one.
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    network = freeze(small_network(), random_images(4, 16, 16, 3), num_images=MANY)
    assert (network.engine, network.reason) == ("tensorflow", "there is a GPU")


def test_what_would_fill_the_memory_is_not_converted(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1000))
    network = freeze(small_network(), random_images(4, 16, 16, 3), num_images=MANY)
    assert network.engine == "tensorflow"
    assert network.reason.startswith("converting its 0 MB of weights takes up to")


def test_few_images_are_not_worth_a_word(caplog):
    with caplog.at_level(logging.DEBUG):
        network = freeze(small_network(), random_images(4, 16, 16, 3), num_images=1000)
    assert network.engine == "tensorflow"
    assert "too few images" in network.reason
    assert not [record for record in caplog.records if record.name.startswith("pipeline")]


def test_two_inputs_are_refused():
    import keras

    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, keras.layers.Add()(inputs))
    with pytest.raises(ValueError, match="must be a graph of layers with one input"):
        freeze(model, np.zeros((2, 4)), num_images=1)


@pytest.mark.parametrize(
    ("found", "wanted", "difference"),
    [
        ([[0.0, 2.0]], [[0.0, 2.0]], 0.0),
        ([[0.0, 2.5]], [[0.0, 2.0]], 0.5),
        ([[1.0, 1.0]], [[1.0, 1.0]], 0.0),
        ([[1.0, 1.1]], [[1.0, 1.0]], float("inf")),
        ([[0.0, np.nan]], [[0.0, 2.0]], float("inf")),
        ([[0.0, 2.0]], [[0.0, np.nan]], float("inf")),
        ([[[0.0, 2.0]]], [[0.0, 2.0]], float("inf")),
        ([[0.0, 2.0]], [[0.0, 2.0], [0.0, 2.0]], float("inf")),
    ],
)
def test_a_difference_is_in_deviations_of_what_is_expected(found, wanted, difference):
    found, wanted = ([np.float32(output) for output in outputs] for outputs in (found, wanted))
    assert largest_difference(found, wanted) == difference


def test_converting_says_nothing_and_leaves_no_file(tmp_path):
    """Nor does ONNX Runtime note in the home folder which machine this is."""
    code = (
        "from pipeline.training.devices import configure_tensorflow\n"
        "configure_tensorflow(num_threads=1)\n"
        "from tests.features.test_frozen import MANY, freeze, random_images, small_network\n"
        "network = freeze(small_network(), random_images(9, 16, 16, 3), num_images=MANY)\n"
        "assert network.engine == 'onnxruntime'\n"
    )
    temporary, home = tmp_path / "temporary", tmp_path / "home"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "HOME": str(home)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Where Python compiles what TensorFlow generated and has deleted.
    assert [file.name for file in temporary.iterdir() if file.name != "__pycache__"] == []
    assert not list(home.rglob("*onnxruntime*"))
