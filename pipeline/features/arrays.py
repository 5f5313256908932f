"""An array per cut on disk: its rows, how it is written, and the moments of what is in it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.files import write_whole

ROW_IMAGES: Final = "row_images.npy"


def size_text(num_bytes: int) -> str:
    """Returns a size as people read it.

    >>> size_text(307_200_000), size_text(60_000)
    ('307.2 MB', '0.1 MB')
    """
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What the rows of an array are.

    Attributes:
        images: The image that each is of, shape (num_rows,); without views, its own number.
        is_counted: Whether it is an image of the train part as it is, which the statistics are
            over, shape (num_rows,).
    """

    images: NDArray[np.int64]
    is_counted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """What is embedded.

    Attributes:
        image_shape: Of an image as stored: (height, width) or (height, width, 3).
        num_classes: Of the dataset.
        is_train: Which images are of the train part, shape (num_images,).
    """

    image_shape: tuple[int, ...]
    num_classes: int
    is_train: NDArray[np.bool_]

    @property
    def num_images(self) -> int:
        """All images, of the train part or not."""
        return len(self.is_train)

    @property
    def num_train(self) -> int:
        """Images of the train part."""
        return int(np.count_nonzero(self.is_train))

    def rows(self, num_views: int) -> Rows:
        """Returns the rows of an array: all images, then the train part once for each view."""
        views = np.tile(np.flatnonzero(self.is_train), num_views)
        return Rows(
            images=np.concatenate([np.arange(self.num_images), views]),
            is_counted=np.concatenate([self.is_train, np.zeros(len(views), dtype=bool)]),
        )


def write_row_images(folder: Path, rows: Rows) -> None:
    """Writes which image each row of a base's arrays is of."""
    with write_whole(folder / ROW_IMAGES) as part:
        np.save(part, rows.images.astype(np.int32))


class NpyStream:
    """Takes the values of an array in order, and hashes the file that they make.

    Args:
        stream: Of the file, at its beginning.
        shape: Of the whole array.
        dtype: Of its values.
    """

    def __init__(self, stream: IO[bytes], shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self, header)

    def write(self, values: Any) -> None:
        """Appends the bytes of a contiguous buffer."""
        self._stream.write(values)
        self._digest.update(values)

    @property
    def sha256(self) -> str:
        """Of what was written so far, 64 hex digits."""
        return self._digest.hexdigest()


@contextmanager
def npy_file(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[NpyStream]:
    """Gives a stream for the values of an .npy file that `np.load` can map into memory.

    Values are written in order, not through a memory map: a full disk is then an error that can be
    caught. The file has its name only when the block has ended well.
    """
    with write_whole(path) as part, part.open("wb") as stream:
        yield NpyStream(stream, shape, dtype)


@dataclass(frozen=True, kw_only=True)
class WrittenArray:
    """An array that is whole.

    Attributes:
        mean: Of each entry of the last axis, a channel, over the train part's own images, views
            aside; of cuts side by side, every position of a channel has the same.
        variance: Likewise.
        sha256: Of its file.
        centre: Of each entry of the last axis, what was taken away before it was written.
    """

    mean: Sequence[float]
    variance: Sequence[float]
    sha256: str
    centre: Sequence[float]


def written_array(moments: Moments, sha256: str, *, centre: NDArray[np.float32]) -> WrittenArray:
    """Returns what the manifest says of an array that was just written."""
    return WrittenArray(
        mean=moments.mean.tolist(),
        variance=moments.variance.tolist(),
        sha256=sha256,
        centre=centre.tolist(),
    )


class Moments:
    """Mean and population variance along the last axis, added up batch by batch in float64.

    Batches are merged by Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm
    for computing sample variances", eq. 2.1, which stays exact where a mean is large against its
    deviation; a sum of squares does not.

    >>> moments = Moments(1)
    >>> moments.add(np.array([[0.0], [2.0]]))
    >>> moments.add(np.array([[4.0]]))
    >>> moments.mean.tolist(), moments.variance.tolist()
    ([2.0], [2.6666666666666665])
    """

    def __init__(self, num_channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(num_channels)
        self._squares = np.zeros(num_channels)

    def add(self, values: NDArray[Any]) -> None:
        """Adds values of shape (..., channels), of any number type."""
        rows = values.reshape(-1, len(self.mean)).astype(np.float64)
        if len(rows):
            self.merge(count=len(rows), mean=rows.mean(axis=0), variance=rows.var(axis=0))

    def merge(self, *, count: int, mean: NDArray[Any], variance: NDArray[Any]) -> None:
        """Adds values of which these moments are known.

        Args:
            count: Values of each channel, >= 1.
            mean: Shape (channels,).
            variance: Divided by the count, shape (channels,), >= 0.
        """
        difference = np.asarray(mean, np.float64) - self.mean
        total = self.count + count
        self._squares += count * np.asarray(variance, np.float64)
        self._squares += difference**2 * (self.count * count / total)
        self.mean = self.mean + difference * (count / total)
        self.count = total

    def shared(self, shapes: Sequence[tuple[int, ...]]) -> Moments:
        """Returns the same moments with one mean and one variance for all positions of a channel.

        Of values that count equally often at each position, both are exact: the variance is the
        mean of the variances and the variance of the means.

        Args:
            shapes: What the last axis holds, flattened one after the other, such as (4, 4, 40);
                the last of each is its channels.
        """
        found, start = Moments(len(self.mean)), 0
        found.count = self.count
        for shape in shapes:
            own = slice(start, start + math.prod(shape))
            means, squares = (
                values[own].reshape(-1, shape[-1]) for values in (self.mean, self._squares)
            )
            between = self.count * means.var(axis=0)
            found.mean[own] = np.tile(means.mean(axis=0), len(means))
            found._squares[own] = np.tile(squares.mean(axis=0) + between, len(means))
            start = own.stop
        return found

    @property
    def variance(self) -> NDArray[np.float64]:
        """Divided by the count; zeros before anything was added."""
        return self._squares / max(self.count, 1)
