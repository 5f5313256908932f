"""Brings large images to a size that a network on the pixels, the base `none`, can be fed with.

Apart from `feature_files`, on whose text the keys of all arrays depend.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import Cut
from pipeline.bases.table import NO_BASE, preprocessing
from pipeline.features.arrays import ImageSet, Moments, npy_file, written_array
from pipeline.features.manifest import PIXELS, array_entry, write_manifest

logger = logging.getLogger(__name__)

FLOAT16_BYTES: Final = 2


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


def small_shape(image_shape: tuple[int, ...], image_size: int) -> tuple[int, int, int]:
    """Returns (image_size, image_size, channels), of gray images with one channel."""
    return image_size, image_size, image_shape[2] if len(image_shape) > 2 else 1


def write_small_pixels(
    folder: Path, images: ImageSet, batches: Iterable[NDArray[np.uint8]], *, image_size: int
) -> None:
    """Writes the folder of the base `none` with images made smaller, (n, s, s, channels) float16.

    Rounded to whole numbers they would not be what the exported model's own layer makes of them.

    Args:
        folder: Where `pixels.npy` and the manifest go.
        images: What the batches are.
        batches: The images in order, as stored.
        image_size: Height and width s that they are brought to, pixels.
    """
    shape = small_shape(images.image_shape, image_size)
    # The very layers that the exported model begins with.
    front = preprocessing(images.image_shape, image_size, to_rgb=False)
    moments, start = Moments(shape[-1]), 0
    with npy_file(folder / f"{PIXELS}.npy", (images.num_images, *shape), np.float16) as stream:
        for batch in batches:
            rows = np.ascontiguousarray(front(batch), dtype=np.float16)
            stream.write(rows.data)
            moments.add(rows[images.is_train[start : start + len(rows)]])
            start += len(rows)
    pixels = Cut(name=PIXELS, shape=shape, num_parameters_below=0, num_parameters_above=0)
    array = written_array(moments, stream.sha256, centre=np.zeros(shape[-1], np.float32))
    entry = array_entry(pixels, array, key="")
    # Pixels are never looked for among earlier arrays.
    del entry["key"]
    base = {"base": NO_BASE, "image_size": image_size, "weights_sha256": None}
    write_manifest(folder, images, {PIXELS: entry}, base=base, views=[], left_out=[])
