"""Owns `data/features/BASE/`: an array per cut point and a manifest, which is written last."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.data.files import write_json, write_whole
from pipeline.models.bases import NO_BASE
from pipeline.models.cuts import Cut, array_bytes
from pipeline.models.moments import Moments

MANIFEST: Final = "manifest.json"
PIXELS: Final = "pixels"


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


@contextmanager
def npy_file(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[IO[bytes]]:
    """Gives a stream for the values of an .npy file that `np.load` can map into memory.

    Values are written in order, not through a memory map: a full disk is then an error that can be
    caught. The file has its name only when the block has ended well.
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    with write_whole(path) as part, part.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        yield stream


def write_manifest(
    folder: Path,
    images: ImageSet,
    moments: Mapping[str, Moments],
    *,
    base: str,
    image_size: int,
    weights_sha256: str,
    kept: Sequence[Cut],
    left_out: Sequence[Cut],
) -> None:
    """Says what the folder of a base holds; its existence means that everything is there.

    Args:
        folder: Holds `CUT.npy` of each kept cut.
        images: What was embedded.
        moments: Of each kept cut over the train part, by name.
        base: Name of the base.
        image_size: What images were resized to, pixels.
        weights_sha256: Of the whole base.
        kept: In the network's order.
        left_out: Cuts that were wanted and did not fit.
    """
    left = [{"cut": cut.name, "bytes": array_bytes([cut], images.num_images)} for cut in left_out]
    content = {
        "base": base,
        "image_size": image_size,
        "weights_sha256": weights_sha256,
        "cuts": {cut.name: _entry(cut, "float16", moments[cut.name]) for cut in kept},
        "left_out": left,
    }
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
    content: dict[str, Any] = {
        "base": NO_BASE,
        "image_size": None,
        "weights_sha256": None,
        "cuts": {PIXELS: _entry(pixels, "uint8", moments)},
        "left_out": [],
    }
    write_json(folder / MANIFEST, content | _described(images))


def _described(images: ImageSet) -> dict[str, Any]:
    return {
        "image_shape": list(images.image_shape),
        "num_images": images.num_images,
        "num_classes": images.num_classes,
    }


def _entry(cut: Cut, dtype: str, moments: Moments) -> dict[str, Any]:
    return {
        "file": f"{cut.name}.npy",
        "shape": list(cut.shape),
        "dtype": dtype,
        "mean": moments.mean.tolist(),
        "variance": moments.variance.tolist(),
        "num_parameters_below": cut.num_parameters_below,
    }
