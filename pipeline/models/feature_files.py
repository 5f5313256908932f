"""Owns `data/features/BASE/`: an array per cut point and a manifest, which is written last.

Rows are the images in order; where there are views, one block of rows for each view follows, which
holds the images of the train part in order. `row_images.npy` then says which image each row is of.

A base's features are a row of the array plus `centre`, which the manifest gives for each entry of
the last axis. Of several cuts side by side (`models.joined_cuts`) it says under `parts` which.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.errors import DataIntegrityError
from pipeline.files import write_json, write_whole
from pipeline.models.bases import NO_BASE
from pipeline.models.cuts import Cut, array_bytes
from pipeline.models.joined_cuts import described
from pipeline.models.moments import Moments

if TYPE_CHECKING:
    pass

MANIFEST: Final = "manifest.json"
PIXELS: Final = "pixels"
ROW_IMAGES: Final = "row_images.npy"


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


def array_entry(
    cut: Cut, array: WrittenArray, *, key: str, rank: int | None = None
) -> dict[str, Any]:
    """Returns what the manifest says of an array of a base.

    Args:
        cut: As it is kept.
        array: What was written.
        key: From `models.array_keys`.
        rank: Of the cuts that a head may stand on; None of those that phase 2 alone starts from.
    """
    ranked = {} if rank is None else {"rank": rank}
    return _entry(cut, "float16", array) | {"key": key} | described(cut) | ranked


def write_manifest(
    folder: Path,
    images: ImageSet,
    entries: Mapping[str, Mapping[str, Any]],
    *,
    base: Mapping[str, Any],
    views: Sequence[Mapping[str, Any]],
    left_out: Sequence[Cut],
) -> None:
    """Says what the folder of a base holds; its existence means that everything is there.

    Args:
        folder: Of the base.
        images: What was embedded.
        entries: From `array_entry`, by the cut's name, in the network's order.
        base: `base`, its name; `source`, where it came from, from `models.base_choice`;
            `image_size`, what it was fed with, pixels; `weights_sha256`, of all its weights.
        views: Settings of each view, in the order of their rows.
        left_out: Cuts that were too large.
    """
    rows = images.rows(len(views))
    if views:
        with write_whole(folder / ROW_IMAGES) as part:
            np.save(part, rows.images.astype(np.int32))
    left = [{"cut": cut.name, "bytes": array_bytes([cut], len(rows))} for cut in left_out]
    content = {**base, "cuts": entries, "left_out": left}
    if views:
        content |= {"views": list(views), "num_rows": len(rows), "row_images": ROW_IMAGES}
    write_json(folder / MANIFEST, content | _described(images))


def write_pixels(folder: Path, images: ImageSet, batches: Iterable[NDArray[np.uint8]]) -> None:
    """Writes the folder of the base `none`: the images themselves, (n, h, w, channels) uint8.

    Args:
        folder: Where `pixels.npy` and the manifest go.
        images: What the batches are.
        batches: The images in order, as stored.
    """
    height, width, *channels = images.image_shape
    shape = (height, width, *(channels or [1]))
    moments, start = Moments(shape[-1]), 0
    with npy_file(folder / f"{PIXELS}.npy", (images.num_images, *shape), np.uint8) as stream:
        for batch in batches:
            stream.write(np.ascontiguousarray(batch).data)
            rows = batch.reshape(len(batch), *shape)
            moments.add(rows[images.is_train[start : start + len(rows)]])
            start += len(rows)
    pixels = Cut(name=PIXELS, shape=shape, num_parameters_below=0, num_parameters_above=0)
    array = written_array(moments, stream.sha256, centre=np.zeros(shape[-1], np.float32))
    content: dict[str, Any] = {
        "base": NO_BASE,
        "image_size": None,
        "weights_sha256": None,
        "cuts": {PIXELS: _entry(pixels, "uint8", array)},
        "left_out": [],
    }
    write_json(folder / MANIFEST, content | _described(images))


def _described(images: ImageSet) -> dict[str, Any]:
    return {
        "image_shape": list(images.image_shape),
        "num_images": images.num_images,
        "num_classes": images.num_classes,
    }


def _entry(cut: Cut, dtype: str, array: WrittenArray) -> dict[str, Any]:
    return {
        "file": f"{cut.name}.npy",
        "shape": list(cut.shape),
        "dtype": dtype,
        "mean": list(array.mean),
        "variance": list(array.variance),
        "centre": list(array.centre),
        "sha256": array.sha256,
        "num_parameters_below": cut.num_parameters_below,
    }


def read_manifest(features: Path) -> dict[str, Any]:
    """Returns what `embed` says about a base's folder of features.

    Raises:
        DataIntegrityError: If it is not there.
    """
    path = features / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # The manifest is written last, so that its absence means an unfinished stage.
        raise DataIntegrityError(f"No {path} here. Run the stage `embed` first.") from None
    return manifest
