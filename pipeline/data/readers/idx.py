"""Reads the gzipped IDX files of the MNIST family.

Reference: LeCun, Cortes, Burges, The MNIST database of handwritten digits, "File formats": two zero
bytes, a type (8 = unsigned byte), the number of dimensions, each dimension as a big-endian int32,
then the elements in C order.
"""

import gzip
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labelled import LabelledImages
from pipeline.errors import DataIntegrityError

_UNSIGNED_BYTE = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Returns the array in a gzipped IDX file of unsigned bytes.

    Raises:
        DataIntegrityError: If the file is no such file, or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes())
        zeros, kind, num_dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{num_dimensions}I", content, 4)
        if (zeros, kind) != (0, _UNSIGNED_BYTE):
            raise ValueError(f"starts with {content[:4].hex()}, not with 000008")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * num_dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error, struct.error) as error:
        raise DataIntegrityError(
            f"{path} must be a gzipped IDX file. Received: {error}. Delete it and run fetch again."
        ) from None


def read_mnist_files(files: Mapping[str, Path], *, class_names: tuple[str, ...]) -> LabelledImages:
    """Reads the four files of a dataset laid out as MNIST: 60,000 train, then 10,000 test images.

    Args:
        files: The files by their public names, `train-images-idx3-ubyte.gz` and so on.
        class_names: Names of classes 0..C-1, which the files do not hold.
    """
    images = [read_idx(files[f"{prefix}-images-idx3-ubyte.gz"]) for prefix in ("train", "t10k")]
    labels = [read_idx(files[f"{prefix}-labels-idx1-ubyte.gz"]) for prefix in ("train", "t10k")]
    sizes = [len(part) for part in labels]
    return LabelledImages(
        images=np.concatenate(images),
        labels=np.concatenate(labels).astype(np.int64),
        parts=np.repeat(["train", "test"], sizes),
        class_names=class_names,
    )
