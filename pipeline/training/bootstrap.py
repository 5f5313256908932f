"""Images drawn with replacement, for bagging."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.training.batches import TrainingData


def bootstrap(data: TrainingData, *, seed: int) -> TrainingData:
    """Returns the data with as many images to train on, drawn from them with replacement.

    Some 63% of the images are in it (Breiman 1996, "Bagging predictors"). An image comes with its
    views, as often as it is drawn.

    Args:
        data: With all of its training part.
        seed: Of the draw, >= 0.
    """
    import numpy as np

    from pipeline.seeds import derive_seed

    images = data.train[data.is_image]
    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    drawn = generator.choice(images, len(images))
    counts = np.bincount(drawn, minlength=len(data.labels))
    of_image = data.train if data.row_images is None else data.row_images[data.train]
    return replace(data, train=np.repeat(data.train, counts[of_image]))
