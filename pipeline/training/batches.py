"""Where a training's numbers come from: batches gathered from a memory-mapped array.

Only the rows of the next few batches are ever in memory, in the type they are stored in (float16
features, uint8 pixels); inside the training step they become float32, and their centre is added.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.seeds import derive_seed

Features = NDArray[Any]
Indices = NDArray[np.int64]

# One call into TensorFlow costs about 0.3 ms: shared by 64 steps it is lost among them. 16 MiB
# were as fast as 42 MiB on 8x8x40 float16 features.
MAX_CHUNK_STEPS = 64
MAX_CHUNK_BYTES = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What to train on and what to validate on.

    Attributes:
        features: Any number type, shape (n, ...), usually memory-mapped.
        labels: Class ids, shape (n,), integers in [0, num_classes).
        train: Rows to train on, >= 1 of them; those of views are among them.
        val: Rows that choose the epoch, >= 1 of them.
        num_classes: Classes of the data set, those without an example here too.
        num_images: Rows of images as they are; what follows them are views. None: all are.
        row_images: The image that each row shows, shape (n,); None: each shows its own.
        centre: What is to be added to `features` before a model takes them: a number, or one for
            each entry of the last axis, shape (channels,).
        weights: Of each row in the loss, shape (n,); None: 1.
    """

    features: Features
    labels: NDArray[np.int64]
    train: Indices
    val: Indices
    num_classes: int
    num_images: int | None = None
    row_images: Indices | None = None
    centre: NDArray[np.float32] = field(default_factory=lambda: np.zeros((), np.float32))
    weights: NDArray[np.float32] | None = None

    @property
    def is_image(self) -> NDArray[np.bool_]:
        """Which of the rows to train on are images as they are, shape (len(train),)."""
        return self.train < (len(self.labels) if self.num_images is None else self.num_images)

    @property
    def num_train_images(self) -> int:
        """Images to train on, without views."""
        return int(np.count_nonzero(self.is_image))

    def without_views(self) -> "TrainingData":
        """Returns the same data to be trained on as they are."""
        return self if self.is_image.all() else replace(self, train=self.train[self.is_image])


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive batches of one epoch.

    Attributes:
        features: Rows in training order, shape (rows, ...).
        labels: Their class ids, shape (rows,), int32.
        weights: Of each in the loss, shape (rows,).
        num_batches: How many batches the rows make; only an epoch's last one may be short.
    """

    features: Features
    labels: NDArray[np.int32]
    weights: NDArray[np.float32]
    num_batches: int

    def split(self, num_rows: int) -> "tuple[Chunk, Chunk]":
        """Returns its first batch, of so many rows at most, and the others, which may be none."""
        return (
            self._part(slice(num_rows), num_batches=1),
            self._part(slice(num_rows, None), num_batches=self.num_batches - 1),
        )

    def _part(self, rows: slice, *, num_batches: int) -> "Chunk":
        return Chunk(
            features=self.features[rows],
            labels=self.labels[rows],
            weights=self.weights[rows],
            num_batches=num_batches,
        )


def resolve_batch_size(batch_size: object, *, num_examples: int) -> int:
    """Returns the images per update: at most all of them, which is what `full` means."""
    return num_examples if batch_size == "full" else min(int(str(batch_size)), num_examples)


def epoch_order(rows: Indices, *, seed: int, epoch: int) -> Indices:
    """Returns the rows shuffled, the same for the same seed and epoch whatever ran before.

    Args:
        rows: Rows of the features that one pass over the training part goes through.
        seed: Root of the training's seeds, in [0, 2**31).
        epoch: Which pass over the rows, from 0: an epoch of few images has several.
    """
    return np.random.default_rng(derive_seed(seed, "batches", epoch)).permutation(rows)


def epoch_chunks(data: TrainingData, order: Indices, *, batch_size: int) -> Iterator[Chunk]:
    """Yields an epoch's batches, several at a time.

    Args:
        data: Where the rows come from.
        order: Rows of one epoch in the order they are trained on.
        batch_size: Rows per update, >= 1; the last batch holds what is left.
    """
    steps = _steps_per_chunk(data.features, batch_size)
    for start in range(0, len(order), steps * batch_size):
        rows = order[start : start + steps * batch_size]
        yield Chunk(
            features=gather(data.features, rows),
            labels=data.labels[rows].astype(np.int32),
            weights=_weights(data, rows),
            num_batches=-(-len(rows) // batch_size),
        )


def _weights(data: TrainingData, rows: Indices) -> NDArray[np.float32]:
    if data.weights is None:
        return np.ones(len(rows), np.float32)
    return data.weights[rows].astype(np.float32)


def gather(features: Features, rows: Indices) -> Features:
    """Returns a copy of some rows, in their stored type."""
    # take is faster than fancy indexing here, and asarray drops memmap's slow subclass.
    return np.take(np.asarray(features), rows, axis=0)


def _steps_per_chunk(features: Features, batch_size: int) -> int:
    batch_bytes: int = batch_size * features[0].nbytes
    return max(1, min(MAX_CHUNK_STEPS, MAX_CHUNK_BYTES // max(batch_bytes, 1)))


def balanced_class_weights(labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """Returns n / (number of classes * count) per class, shape (num_classes,).

    Classes that are absent have 0 and are not counted, so that the mean weight is 1. As
    scikit-learn's `class_weight="balanced"`: every class has the same sum of weights.

    >>> balanced_class_weights(np.array([0, 0, 0, 1]), 2).tolist()
    [0.6666666865348816, 2.0]
    """
    counts = np.bincount(labels, minlength=num_classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)
