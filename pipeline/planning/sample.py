"""A sample of the training part, of which every beginning is stratified, too."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.rows import chosen_images, row_shape, whole_array


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Images of the training part.

    Attributes:
        images: uint8, shape (n, height, width) or (n, height, width, 3). The first m hold each
            class in its share, for every m.
        labels: Their class ids, int64, shape (n,).
        num_train: Images that the training part has.
        num_images: Images that will be embedded: those of the training, validation and confirmation
            parts.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    num_train: int
    num_images: int


def read_sample(train_file: Path, *, size: int, seed: int) -> Sample:
    """Reads a stratified sample; no image of another part is looked at.

    Args:
        train_file: From the stage `split`.
        size: Images wanted, >= 1; of a smaller training part all are taken.
        seed: Of the draw.

    Raises:
        DataIntegrityError: If the file is not whole.
    """
    (num_images, *_) = row_shape(train_file, "images")
    train, labels = whole_array(train_file, "train"), whole_array(train_file, "labels")
    chosen = train[stratified_order(labels[train], seed=seed)[:size]]
    return Sample(
        images=chosen_images(train_file, chosen),
        labels=labels[chosen].astype(np.int64),
        num_train=len(train),
        num_images=num_images,
    )


def stratified_order(labels: NDArray[np.integer], *, seed: int) -> NDArray[np.int64]:
    """Returns an order in which each class is spread evenly, at random within the class.

    The first m rows of it are a stratified sample of any size m.

    Args:
        labels: Class ids, shape (n,).
        seed: Of the order within a class.

    Returns:
        Places in `labels`, shape (n,).
    """
    random = np.random.default_rng(seed)
    places = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        spread = (np.arange(len(rows)) + random.random(len(rows))) / len(rows)
        places[random.permutation(rows)] = spread
    return np.argsort(places, kind="stable")
