"""Reads CIFAR-10's batches: pickles of Python 2, opened by an unpickler that builds arrays only.

Reference: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labelled import LabelledImages
from pipeline.errors import DataIntegrityError

TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
META = "batches.meta"

# All that the published batches name (seen with pickletools.genops). `_reconstruct` is taken from
# an array, since NumPy 2 moved the module that the pickles of 2009 name.
_GLOBALS: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds containers, numbers, bytes and arrays, and refuses a pickle that names others."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _GLOBALS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch needs")
        return _GLOBALS[module, name]


def unpickle_batch(path: Path) -> dict[bytes, Any]:
    """Returns the dict in one of CIFAR's files, without running code from it.

    Raises:
        DataIntegrityError: If the file names any global but the three that rebuild an array, or is
            no pickle of a dict.
    """
    try:
        with path.open("rb") as stream:
            batch = _ArrayUnpickler(stream, encoding="bytes").load()
        if not isinstance(batch, dict):
            raise TypeError(f"it holds a {type(batch).__name__}")
    except (
        *(pickle.UnpicklingError, EOFError, ImportError, OverflowError),
        *(AttributeError, IndexError, KeyError, TypeError, ValueError),
    ) as error:
        raise DataIntegrityError(
            f"{path} must be a batch of CIFAR-10 and nothing else. Received: {error}. "
            "Delete it and run fetch again."
        ) from None
    return batch


def read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Reads one batch.

    Returns:
        Images, uint8, shape (n, 32, 32, 3), and labels, int64, shape (n,).

    Raises:
        DataIntegrityError: If the file is no batch, or its arrays have another shape.
    """
    batch = unpickle_batch(path)
    rows, labels = batch.get(b"data"), batch.get(b"labels")
    if not (
        isinstance(rows, np.ndarray)
        and (rows.dtype, rows.shape[1:]) == (np.uint8, (3 * 32 * 32,))
        and isinstance(labels, list)
        and len(labels) == len(rows)
        and all(isinstance(label, int) for label in labels)
    ):
        raise DataIntegrityError(
            f"{path} must hold `data`, uint8 of shape (n, 3072), and `labels`, n integers. "
            f"Received: keys {sorted(map(str, batch))}. Delete it and run fetch again."
        )
    # A row is the red plane, then the green, then the blue, each 32 x 32.
    images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.array(labels, np.int64)


def read_cifar_files(files: Mapping[str, Path]) -> LabelledImages:
    """Reads the six batches, train first, and the class names.

    Args:
        files: `data_batch_1` to `data_batch_5`, `test_batch` and `batches.meta`.
    """
    batches = [read_batch(files[name]) for name in (*TRAIN_BATCHES, TEST_BATCH)]
    sizes = [sum(len(labels) for _, labels in batches[:-1]), len(batches[-1][1])]
    names = unpickle_batch(files[META])[b"label_names"]
    return LabelledImages(
        images=np.concatenate([images for images, _ in batches]),
        labels=np.concatenate([labels for _, labels in batches]),
        parts=np.repeat(["train", "test"], sizes),
        class_names=tuple(name.decode("ascii") for name in names),
    )
