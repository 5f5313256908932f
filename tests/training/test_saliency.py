"""What spoke for a class is where it is in the image."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras

SIZE = 16


def corner_images():
    """Four images, each with one bright corner."""
    images = np.zeros((4, SIZE, SIZE), np.uint8)
    half = SIZE // 2
    for number in range(4):
        row, column = divmod(number, 2)
        images[number, row * half : (row + 1) * half, column * half : (column + 1) * half] = 255
    return images


def corner_model(kind):
    """A model whose class is the corner that is bright, on maps of 8x8 or on pixels."""
    import keras

    layers = keras.layers
    images = keras.Input((SIZE, SIZE), dtype="uint8")
    x = layers.Reshape((SIZE, SIZE, 1))(layers.Rescaling(1 / 255)(images))
    size = SIZE
    if kind != "pixels":
        convolution = layers.Conv2D(1, 2, strides=2, use_bias=False, kernel_initializer="ones")
        x, size = convolution(x), SIZE // 2
    flat = layers.Flatten()(x)
    if kind == "side by side":
        # And averages of all, which know no place.
        flat = layers.Concatenate()([flat, layers.GlobalAveragePooling2D()(x)])
    dense = layers.Dense(4, activation="softmax")
    model = keras.Model(images, dense(flat))
    where = np.zeros((2, size // 2, 2, size // 2, 4), np.float32)
    for number in range(4):
        row, column = divmod(number, 2)
        where[row, :, column, :, number] = 0.5
    weights = np.zeros((flat.shape[1], 4), np.float32)
    weights[: size * size] = where.reshape(size * size, 4)
    dense.set_weights([weights, np.zeros(4, np.float32)])
    return model


@pytest.mark.parametrize("kind", ["pixels", "map", "side by side"])
def test_the_bright_corner_decided(kind):
    from pipeline.training.saliency import Saliency

    model, images = corner_model(kind), corner_images()
    assert np.asarray(model(images)).argmax(axis=1).tolist() == [0, 1, 2, 3]
    found = Saliency(model)(images)
    assert (found.shape, found.dtype) == (images.shape, np.float32)
    assert found.min() >= 0
    np.testing.assert_allclose(found.max(axis=(1, 2)), 1)
    for image, heat in zip(images, found, strict=True):
        assert heat[image > 0].mean() > 10 * heat[image == 0].mean()


def test_a_model_that_is_all_sure_still_has_a_reason():
    """Its largest probability is 1.0 in float32, whose gradient is 0."""
    from pipeline.training.saliency import Saliency

    model = corner_model("map")
    images = corner_images()
    assert np.asarray(model(images)).max() == 1.0
    found = Saliency(model)(images)
    assert found[0, :8, :8].mean() > 0.5


def test_a_sequence_of_vectors_is_no_map():
    import keras

    from pipeline.training.saliency import Saliency

    layers = keras.layers
    images = keras.Input((SIZE, SIZE), dtype="uint8")
    x = layers.Reshape((SIZE, SIZE, 1))(layers.Rescaling(1 / 255)(images))
    maps = layers.Conv2D(3, 2, strides=2)(x)
    tokens = layers.Reshape((SIZE * SIZE // 4, 3))(maps)
    model = keras.Model(images, layers.Dense(4, "softmax")(layers.GlobalAveragePooling1D()(tokens)))
    from pipeline.training.saliency import _highest_maps

    assert [one.shape for one in _highest_maps(model)] == [maps.shape]
    assert Saliency(model)(corner_images()).shape == (4, SIZE, SIZE)


def test_where_nothing_speaks_for_a_class_nothing_is_shown():
    from pipeline.training.saliency import Saliency

    dark = np.zeros((1, SIZE, SIZE), np.uint8)
    assert Saliency(corner_model("pixels"))(dark).max() == 0
