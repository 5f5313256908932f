"""Networks that need no Keras: an image's first pixels say which rows of given features it has."""

import numpy as np
import pytest

from pipeline.planning.probe import Part, Probe

NUM_IMAGES = 240
NUM_CLASSES = 4


def images_of(labels):
    """Images that carry their number, and in the last column whether they are mirrored."""
    images = np.zeros((len(labels), 1, 3), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(len(labels)), 256)
    images[:, 0, 2] = 255
    return images


def numbers_in(images):
    """The numbers that images carry, and whether they are mirrored."""
    is_mirrored = images[:, 0, 0] == 255
    first = np.where(is_mirrored, images[:, 0, 2], images[:, 0, 0]).astype(int)
    return 256 * first + images[:, 0, 1], is_mirrored


def features(labels, *, noise, num_features=8, seed=0, classes=None):
    """Features that tell classes apart as well as the noise lets them."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(NUM_CLASSES, num_features))
    if classes is not None:  # The others look alike.
        centres[[c for c in range(NUM_CLASSES) if c not in classes]] = 0
    return centres[labels] + noise * random.normal(size=(len(labels), num_features))


def part(depth, num_features=8, pooling="global"):
    return Part(depth=depth, cut=f"cut{depth}", pooling=pooling, num_features=num_features)


@pytest.fixture
def labels():
    return np.arange(NUM_IMAGES) % NUM_CLASSES


@pytest.fixture
def make_probe(labels):
    """From the features of each part, as they are and mirrored, to a probe."""

    def make(by_part, mirrored=None, **settings):
        def network(images):
            numbers, is_mirrored = numbers_in(images)
            tables = mirrored if is_mirrored.all() else by_part
            return [tables[each][numbers].astype(np.float32) for each in by_part]

        return Probe(network, list(by_part), images_of(labels), labels, **settings)

    return make
