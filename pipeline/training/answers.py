"""What an exported model answers to a part's raw images."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.data.rows import part_images
from pipeline.features.frozen import freeze

if TYPE_CHECKING:
    import keras

IMAGES_AT_A_TIME: Final = 256


def answers_on_part(
    model: keras.Model, train_file: Path, part: str, *, num_images: int
) -> NDArray[np.float32]:
    """Returns the probabilities of a part's raw images, shape (n, num_classes).

    Args:
        model: Raw images to probabilities, as `load_exported` returns it.
        train_file: `data/train.npz`.
        part: Such as `confirmation`; its images are read some at a time.
        num_images: In that part, n.
    """
    images = part_images(train_file, part, batch_size=IMAGES_AT_A_TIME)
    first = next(images)
    network = freeze(model, first, num_images=num_images)
    return np.concatenate([network(batch)[0] for batch in chain([first], images)])
