"""A row of the table of bases as a frozen Keras model."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.bases.table import BASES, IMAGENET, RANDOM, check_base
from pipeline.seeds import derive_seed

if TYPE_CHECKING:
    import keras


def load_base(
    name: str, *, image_size: int, weights: str = IMAGENET, alpha: float | None = None
) -> "keras.Model":
    """Returns a frozen base of the table, from raw colours to the averages of its last feature map.

    Args:
        name: Which base of the table: a key of `BASES`.
        image_size: Height and width of the images that it is to take, pixels, at least the
            smallest of the base's entry.
        weights: `imagenet`; `random` for a network that knows nothing, the same one each time; for
            those of `keras.applications` also the path of a weight file that Keras publishes,
            without the classifier.
        alpha: Width of the network relative to the published one, > 0; where the family has it.

    Returns:
        (n, image_size, image_size, 3) float32 RGB in [0, 255] to (n, channels). Scaling is part of
        it, nothing of it is trainable, it is one flat graph, and layers have the same names in
        every process.

    Raises:
        ConfigError: If the name is unknown, the images are too small, or the family has no alpha.
        SourceError: If the weights are neither here nor to be had.
    """
    check_base(name, image_size=image_size, weights=weights, alpha=alpha)

    import keras

    from pipeline.bases.applications import load_application
    from pipeline.bases.efficientnet_lite import build_efficientnet_lite, load_efficientnet_lite
    from pipeline.bases.flat import flat_copy

    with _seeded(name):
        if BASES[name].constructor:
            network = load_application(name, image_size, weights=weights, alpha=alpha)
            inputs = keras.Input(network.input.shape[1:], name="images")
            model = keras.Model(inputs, flat_copy(network, inputs), name=name)
        # These are one flat graph as they are built: a copy would take 1.6 s.
        elif weights == RANDOM:
            model = build_efficientnet_lite(name, image_size)
        else:
            model = load_efficientnet_lite(name, image_size)
    model.trainable = False
    return model


@contextmanager
def _seeded(name: str) -> Iterator[None]:
    """Makes random weights depend on the base's name alone: features of others are not the same.

    Keras takes the seed of each layer's weights from Python's generator, which goes on as if
    nothing had been taken.
    """
    state = random.getstate()
    random.seed(derive_seed("base", name))
    try:
        yield
    finally:
        random.setstate(state)
