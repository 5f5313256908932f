"""Images as vectors that can be compared: the cached features of one cut, brought to 2,048 numbers.

Which cut of which base, five-fold ridge heads on a sample say: the one that has the fewest errors.
The pixels are among them, so that a checkout without a base is judged by these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.features.manifest import MANIFEST, read_manifest
from pipeline.review.folds import PENALTIES, out_of_fold_scores, stratified_folds

Floats = NDArray[np.float32]
Floats16 = NDArray[np.float16]

MOST_NUMBERS: Final = 2048
"""Of a vector: products of all pairs of numbers over 60,000 images then take 0.25e12 operations."""
SAMPLE: Final = 2000
"""Images, evenly spread, that cuts are chosen by and that moments are taken over."""
_SMALLEST_VARIANCE: Final = 1e-4
"""Of the mean one: a channel that hardly varies is not amplified more than 100 times."""
_BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Source:
    """An array of features.

    Attributes:
        base: A name below `embed.bases`, or `none`.
        cut: Its name; `pixels` of `none`.
        file: An .npy whose first rows are the images themselves; views follow.
        num_images: How many these are.
    """

    base: str
    cut: str
    file: Path
    num_images: int

    @property
    def name(self) -> str:
        """As people read it; of cuts side by side the first and how many more."""
        if self.base == "none":
            return "the pixels"
        first, *others = self.cut.split("+")
        return f"{first}{f' and {len(others)} more' if others else ''} of {self.base}"


def find_sources(features: Path) -> list[Source]:
    """Returns what `embed` has written for heads to stand on, by name of base and cut.

    Where a plan has ranked the cuts, those that only phase 2 starts from are left out.

    Raises:
        DataIntegrityError: If there is nothing.
    """
    folders = sorted(path.parent for path in features.glob(f"*/{MANIFEST}"))
    found = []
    # Of no folder, reading the first that should be there says what is missing.
    for folder in folders or [features / "none"]:
        manifest = read_manifest(folder)
        is_ranked = any(cut.rank is not None for cut in manifest.cuts.values())
        found += [
            Source(
                base=manifest.base,
                cut=name,
                file=folder / cut.file,
                num_images=manifest.num_images,
            )
            for name, cut in manifest.cuts.items()
            if cut.rank is not None or not is_ranked
        ]
    return found


def choose_source(sources: list[Source], labels: NDArray[np.int64], *, seed: int) -> Source:
    """Returns the source whose ridge heads have the fewest errors on a sample, the first of ties.

    Args:
        sources: At least one.
        labels: Class ids of all images, shape (n,).
        seed: Of the folds.
    """
    rows = spread(len(labels), SAMPLE)
    wanted = labels[rows]
    folds = stratified_folds(wanted, np.arange(len(rows)), seed=seed)
    num_classes = int(labels.max()) + 1

    def num_right(source: Source) -> int:
        vectors = np.concatenate([*_Reader(source, seed=seed).blocks(rows)])
        # The largest serve so few images.
        scores = out_of_fold_scores(
            vectors, wanted, folds, num_classes=num_classes, penalties=PENALTIES[-2:]
        )
        return int(np.count_nonzero(scores.argmax(axis=1) == wanted))

    return max(sources, key=num_right) if len(sources) > 1 else sources[0]


def read_vectors(source: Source, *, seed: int) -> Floats16:
    """Returns a vector for each image, shape (n, at most `MOST_NUMBERS`).

    Each channel is standardized. What has more numbers is brought to `MOST_NUMBERS` by a count
    sketch: number i, times a random sign, is added to number i mod 2,048. Inner products keep their
    value in the mean (Charikar, Chen and Farach-Colton 2002, "Finding frequent items in data
    streams"; Weinberger et al. 2009, arXiv:0902.2206). On Fashion-MNIST, heads on a sketch of 5,904
    numbers were right 0.929 times, on their 1,024 principal components 0.927 times, which took four
    times as long.

    Args:
        source: What to read; the file may be larger than memory, the result is 4 KB an image.
        seed: Of the signs.
    """
    reader = _Reader(source, seed=seed)
    return np.concatenate(
        [block.astype(np.float16) for block in reader.blocks(np.arange(source.num_images))]
    )


def spread(number: int, most: int) -> NDArray[np.int64]:
    """Returns up to `most` places of `number`, evenly spread.

    >>> spread(10, 3).tolist()
    [0, 4, 9]
    """
    return np.unique(np.linspace(0, number - 1, min(most, number)).astype(np.int64))


class _Reader:
    """Reads standardized vectors of an array.

    Args:
        source: The array.
        seed: Of the signs.
    """

    def __init__(self, source: Source, *, seed: int) -> None:
        self._array = np.load(source.file, mmap_mode="r")
        some = self._array[spread(source.num_images, SAMPLE)].astype(np.float32)
        axes = tuple(range(some.ndim - 1))
        self._mean, variance = some.mean(axis=axes), some.var(axis=axes)
        self._scale = np.sqrt(np.maximum(variance, _SMALLEST_VARIANCE * variance.mean() or 1.0))
        size = int(np.prod(some.shape[1:]))
        self._signs = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), size)

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[Floats]:
        """Yields the vectors of some images, in order, some at a time."""
        for start in range(0, len(rows), _BLOCK):
            values = self._array[rows[start : start + _BLOCK]].astype(np.float32)
            values -= self._mean
            values /= self._scale
            yield self._sketched(values.reshape(len(values), -1))

    def _sketched(self, values: Floats) -> Floats:
        size = values.shape[1]
        if size <= MOST_NUMBERS:
            return values
        values *= self._signs
        found = values[:, :MOST_NUMBERS].copy()
        for start in range(MOST_NUMBERS, size, MOST_NUMBERS):
            more = values[:, start : start + MOST_NUMBERS]
            found[:, : more.shape[1]] += more
        # Of the same size as what they are made of.
        return found / np.float32(np.sqrt(size / MOST_NUMBERS))
