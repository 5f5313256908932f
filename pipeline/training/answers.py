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
    model: keras.Model, train_file: Path, part: str, *, num_images: int, most: int | None = None
) -> NDArray[np.float32]:
    """Returns the probabilities of a part's raw images, shape (n, num_classes).

    Args:
        model: Raw images to probabilities, as `load_exported` returns it.
        train_file: `data/train.npz`.
        part: Such as `confirmation`; its images are read some at a time.
        num_images: In that part.
        most: Where it has more, those at the places of `data.rows.evenly`; None: all.
    """
    images = part_images(train_file, part, batch_size=IMAGES_AT_A_TIME, most=most)
    first = next(images)
    count = num_images if most is None else min(num_images, most)
    network = freeze(model, first, num_images=count)
    return np.concatenate([network(batch)[0] for batch in chain([first], images)])
