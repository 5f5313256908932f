"""Writes the features of the base `none`: the images themselves, large ones made smaller."""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import NO_POOLING
from pipeline.bases.table import NO_BASE, preprocessing
from pipeline.features.arrays import ImageSet, Moments, npy_file, written_array
from pipeline.features.manifest import EmbeddedCut, Manifest, write_manifest

logger = logging.getLogger(__name__)

PIXELS: Final = "pixels"


def size_of_pixels(images: ImageSet, *, most: int) -> int | None:
    """Returns what images are brought to for a network on the pixels, and says so in the log.

    Args:
        images: What is embedded.
        most: Height and width that larger images are brought to, pixels: `embed.pixels_size`.

    Returns:
        `most`; or None if neither side is larger: then they stay as they are.
    """
    height, width = images.image_shape[:2]
    if max(height, width) <= most:
        return None
    logger.info("none: images of %dx%d pixels are brought to %dx%d", height, width, most, most)
    return most


def pixels_bytes(images: ImageSet, image_size: int | None) -> int:
    """Returns what the array of all images takes.

    Args:
        images: What is embedded.
        image_size: From `size_of_pixels`.
    """
    shape = _shape(images.image_shape, image_size)
    return images.num_images * math.prod(shape) * _dtype(image_size).itemsize


def write_pixels(
    folder: Path,
    images: ImageSet,
    batches: Iterable[NDArray[np.uint8]],
    *,
    image_size: int | None = None,
) -> None:
    """Writes the folder of the base `none`: an array (n, height, width, channels) and its manifest.

    Images as they are stored are uint8. Smaller ones are float16: rounded to whole numbers they
    would not be what the exported model's own layer makes of them.

    Args:
        folder: Where `pixels.npy` and the manifest go.
        images: What the batches are.
        batches: The images in order, as stored.
        image_size: Height and width that they are brought to, pixels; None: they stay as they are.
    """
    shape, dtype = _shape(images.image_shape, image_size), _dtype(image_size)
    # The very layers that the exported model begins with.
    front: Callable[[NDArray[np.uint8]], Any] = (
        preprocessing(images.image_shape, image_size, to_rgb=False) if image_size else np.asarray
    )
    moments, start = Moments(shape[-1]), 0
    with npy_file(folder / f"{PIXELS}.npy", (images.num_images, *shape), dtype) as stream:
        for batch in batches:
            rows = np.ascontiguousarray(front(batch), dtype=dtype).reshape(len(batch), *shape)
            stream.write(rows.data)
            moments.add(rows[images.is_train[start : start + len(rows)]])
            start += len(rows)
    array = written_array(moments, stream.sha256, centre=np.zeros(shape[-1], np.float32))
    entry = EmbeddedCut(
        file=f"{PIXELS}.npy",
        shape=shape,
        dtype=dtype.name,
        num_parameters_below=0,
        pooling=NO_POOLING if image_size else None,
        **asdict(array),
    )
    manifest = Manifest(
        base=NO_BASE,
        image_size=image_size,
        weights_sha256=None,
        image_shape=images.image_shape,
        num_images=images.num_images,
        num_classes=images.num_classes,
        cuts={PIXELS: entry},
    )
    write_manifest(manifest, folder)


def _shape(image_shape: tuple[int, ...], image_size: int | None) -> tuple[int, int, int]:
    """Returns the shape of a row: gray images get a channel."""
    height, width, channels = (*image_shape, 1)[:3]
    return image_size or height, image_size or width, channels


def _dtype(image_size: int | None) -> np.dtype[Any]:
    return np.dtype(np.uint8) if image_size is None else np.dtype(np.float16)
