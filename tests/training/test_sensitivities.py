"""What the lectures say of gradients and of moving averages, as Keras has them."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras

# Functions of the lectures, with their derivatives by the net input n or the output a.
SLOPES = {
    "tanh": lambda n, a: 1 - a**2,
    "sigmoid": lambda n, a: a * (1 - a),
    "relu": lambda n, a: (n > 0).astype(float),
    "selu": lambda n, a: np.where(
        n > 0, 1.0507009873554805, a + 1.0507009873554805 * 1.67326324235
    ),
}


@pytest.mark.parametrize("activation", SLOPES)
def test_the_recursion_of_sensitivities_gives_tensorflows_gradients(activation):
    """s_M = a - t at a softmax; s_m = F'(n_m) W_(m+1)' s_(m+1); dE/dW_m = s_m a_(m-1)'."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden, x = [], inputs
    for _ in range(5):
        hidden.append(keras.layers.Dense(7))
        x = keras.layers.Activation(activation)(hidden[-1](x))
    last = keras.layers.Dense(3)
    model = keras.Model(inputs, last(x))
    image = np.random.default_rng(0).normal(size=(1, 6)).astype(np.float32)
    with tf.GradientTape() as tape:
        logits = model(image)
        loss = keras.ops.sum(
            keras.losses.sparse_categorical_crossentropy(np.array([1]), logits, from_logits=True)
        )
    kernels = [layer.kernel for layer in (*hidden, last)]
    expected = tape.gradient(loss, [kernel.value for kernel in kernels])

    outputs, nets = [image.astype(float)], []
    for layer in hidden:
        kernel, bias = (one.astype(float) for one in layer.get_weights())
        nets.append(outputs[-1] @ kernel + bias)
        outputs.append(
            np.asarray(keras.ops.convert_to_numpy(keras.activations.get(activation)(nets[-1])))
        )
    powers = np.exp(logits.numpy().astype(float))
    sensitivity = powers / powers.sum() - np.eye(3)[[1]]
    found = [outputs[-1].T @ sensitivity]
    for place in range(4, -1, -1):
        kernel = kernels[place + 1].numpy().astype(float)
        slope = SLOPES[activation](nets[place], outputs[place + 1])
        sensitivity = (sensitivity @ kernel.T) * slope
        found.insert(0, outputs[place].T @ sensitivity)
    for own, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, theirs.numpy(), rtol=1e-3, atol=1e-6)


def test_moving_averages_of_batch_normalization_are_the_lectures(hyperparameters):
    """The lecture's alpha weighs the new batch; Keras' momentum the old average: 1 - alpha."""
    import keras

    from pipeline.training.head import build_head

    values = hyperparameters(
        cut="pixels", units=4, normalization="before", batch_norm_momentum=0.9, dropout="none"
    )
    head = build_head((5,), 3, values, mean=[0.0] * 5, variance=[1.0] * 5, seed=0)
    batch = np.random.default_rng(0).normal(1.0, 2.0, size=(64, 5)).astype(np.float32)
    (layer,) = [one for one in head.layers if isinstance(one, keras.layers.BatchNormalization)]
    nets = keras.Model(head.input, layer.input)(batch).numpy()
    head(batch, training=True)
    alpha = 0.1
    np.testing.assert_allclose(layer.moving_mean, alpha * nets.mean(axis=0), rtol=1e-4)
    expected = alpha * nets.var(axis=0) + (1 - alpha) * 1.0
    np.testing.assert_allclose(layer.moving_variance, expected, rtol=1e-4)
    # In use it normalizes by these, whatever the batch is.
    alone = keras.Model(head.input, layer.output)(batch[:1], training=False).numpy()
    scale = np.sqrt(expected + values["batch_norm_epsilon"])
    np.testing.assert_allclose(
        alone, (nets[:1] - alpha * nets.mean(axis=0)) / scale, rtol=1e-3, atol=1e-4
    )
