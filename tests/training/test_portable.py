"""LiteRT and ONNX answer as the Keras model does, also where it averages pixels."""

from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from pipeline.bases.table import preprocessing

pytestmark = [pytest.mark.keras, pytest.mark.slow]


def model(shape, size):
    """Images of a shape through a small network that takes another size."""
    import keras

    keras.utils.set_random_seed(1)
    front = preprocessing(shape, size)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(front.output)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("silu")(x))
    return keras.Model(front.input, keras.layers.Dense(5, activation="softmax")(x))


@pytest.mark.parametrize("to", ["litert", "onnx"])
@pytest.mark.parametrize(
    ("shape", "size"),
    [((28, 28), 64), ((50, 40, 3), 32), ((32, 32, 3), 32), ((48, 48, 3), 37)],
    ids=["enlarged", "shrunk", "as it is", "shrunk by an odd factor"],
)
def test_it_answers_as_the_keras_model(tmp_path, to, shape, size):
    from pipeline.training.export import load_exported
    from pipeline.training.portable import SUFFIXES, open_portable, write_portable

    model(shape, size).save(tmp_path / "model.keras")
    one, file = load_exported(tmp_path / "model.keras"), tmp_path / f"model{SUFFIXES[to]}"
    images = np.random.default_rng(1).integers(0, 256, (20, *shape), dtype=np.uint8)
    write_portable(one, file, to)
    answer = open_portable(file, to)
    expected = one.predict(images, verbose=0)
    np.testing.assert_allclose(answer(images), expected, atol=1e-5)
    # Any number of images at a time.
    np.testing.assert_allclose(answer(images[:3]), expected[:3], atol=1e-5)


def test_a_copy_is_made_only_of_what_it_can_answer_for(caplog):
    """Not where it has a layer that ONNX has no operation for."""
    import keras
    import tensorflow as tf

    from pipeline.training import portable

    caplog.set_level("INFO")
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    one = model((28, 28), 32)
    assert portable.onnx_copy(one, images)
    last = keras.layers.Lambda(lambda x: tf.math.betainc(x, 1 - x, x))
    assert portable.onnx_copy(keras.Model(one.input, last(one.output)), images) is None
    assert "no copy of the model as ONNX" in caplog.text


def test_no_copy_is_made_that_would_fill_the_memory(monkeypatch, caplog):
    from pipeline.training import portable

    caplog.set_level("INFO")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1000))
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    assert portable.onnx_copy(model((28, 28), 32), images) is None
    assert "no copy of the model as ONNX: converting its" in caplog.text


def test_a_copy_that_answers_otherwise_is_none(monkeypatch, caplog):
    from pipeline.training import portable

    caplog.set_level("INFO")
    write = portable.write_portable
    other = model((28, 28), 32)
    other.layers[-1].set_weights([-1.01 * weights for weights in other.layers[-1].get_weights()])
    monkeypatch.setattr(portable, "write_portable", lambda _, path, to: write(other, path, to))
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    assert portable.onnx_copy(model((28, 28), 32), images) is None
    assert "a logarithm of a probability is" in caplog.text
