"""LiteRT and ONNX answer as the Keras model does, also where it averages pixels."""

import numpy as np
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
