"""A small training whose perfect result is known."""

import numpy as np
import pytest

from pipeline.training.batches import TrainingData


@pytest.fixture
def settings():
    """A trial's active hyperparameters, as far as training reads them."""
    return {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "clipping": "none",
        "batch_size": 16,
        "images_per_epoch": 1,
        "early_stopping": "none",
        "class_weight": "none",
    }


@pytest.fixture
def blobs():
    """Three classes of 4 float16 features, far apart, so that accuracy 1.0 is expected."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    centres = 3.0 * np.eye(3, 4)
    features = (centres[labels] + 0.3 * rng.normal(size=(200, 4))).astype(np.float16)
    rows = np.arange(200)
    return TrainingData(
        features=features, labels=labels, train=rows[:150], val=rows[150:], num_classes=3
    )


@pytest.fixture
def build():
    """Builds a network of one hidden layer on 4 features; its seed decides all its weights."""
    import keras

    def build_network(seed=0, *, dropout=0.0, l2=0.0, batch_norm=False):
        def dense(units, activation, layer_seed):
            return keras.layers.Dense(
                units,
                activation,
                kernel_initializer=keras.initializers.GlorotUniform(layer_seed),
                kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            )

        layers = [keras.Input((4,)), dense(8, "relu", seed)]
        if batch_norm:
            layers.append(keras.layers.BatchNormalization())
        if dropout:
            layers.append(keras.layers.Dropout(dropout, seed=seed))
        return keras.Sequential([*layers, dense(3, "softmax", seed + 1)])

    return build_network
