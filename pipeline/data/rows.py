"""Reads and writes arrays of .npz files some rows at a time: they need not fit into memory."""

import hashlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError

_CHUNK_BYTES = 1 << 24


def write_rows(
    file: Path, images: NDArray[Any], rows: NDArray[np.int64], others: Mapping[str, NDArray[Any]]
) -> str:
    """Writes some images, as `images`, and further arrays, byte for byte as `numpy.savez` does.

    Args:
        file: What to write.
        images: Shape (n, ...), such as an array that is mapped from a file.
        rows: Which of them, in order, shape (m,).
        others: Further arrays by name, none of them called `images`.

    Returns:
        What `sha256_arrays` gives of all of them, the images first.
    """
    digest = hashlib.sha256()
    shape = (len(rows), *images.shape[1:])
    step = max(_CHUNK_BYTES // max(images.dtype.itemsize * math.prod(shape[1:]), 1), 1)
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as stream:
            descr = np.lib.format.dtype_to_descr(images.dtype)
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for start in range(0, len(rows), step):
                chunk = np.ascontiguousarray(images[rows[start : start + step]]).data
                stream.write(chunk)
                digest.update(chunk)
        for name, array in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def row_batches(file: Path, name: str, *, batch_size: int) -> Iterator[NDArray[Any]]:
    """Yields consecutive rows of an array, in order.

    Args:
        file: Written by `numpy.savez`.
        name: Of the array.
        batch_size: Rows at a time, >= 1; the last batch holds what is left.

    Raises:
        DataIntegrityError: If the file is missing, has no such array, or is cut short.
    """
    with _opened(file, name) as stream:
        shape, dtype = _read_header(stream)
        row_bytes = dtype.itemsize * math.prod(shape[1:])
        for start in range(0, shape[0], batch_size):
            size = min(batch_size, shape[0] - start)
            data = stream.read(size * row_bytes)
            yield np.frombuffer(data, dtype).reshape(size, *shape[1:])


def whole_array(file: Path, name: str) -> NDArray[Any]:
    """Returns an array, such as labels; all others are passed over.

    Args:
        file: Written by `numpy.savez`.
        name: Of the array.

    Raises:
        DataIntegrityError: If the file is missing, has no such array, is cut short, or a byte of
            the array is not what was written.
    """
    with _opened(file, name) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def chosen_images(file: Path, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Returns some images in the order of their rows; all others are passed over.

    Args:
        file: `data/train.npz`, as the stage `split` wrote it.
        rows: Of the array `images`, each once, shape (n,).

    Raises:
        DataIntegrityError: As `row_batches`.
    """
    num_images, *image_shape = row_shape(file, "images")
    place = np.full(num_images, -1)
    place[rows] = np.arange(len(rows))
    images, start = np.empty((len(rows), *image_shape), np.uint8), 0
    batch_size = max(_CHUNK_BYTES // max(math.prod(image_shape), 1), 1)
    for batch in row_batches(file, "images", batch_size=batch_size):
        places = place[start : start + len(batch)]
        images[places[places >= 0]] = batch[places >= 0]
        start += len(batch)
    return images


def evenly(count: int, most: int | None) -> NDArray[np.int64]:
    """Returns places in [0, count), all of them or so many that are evenly apart.

    >>> evenly(9, 3).tolist()
    [0, 4, 8]
    """
    kept = count if most is None else min(count, most)
    return np.linspace(0, count - 1, kept).round().astype(np.int64)


def part_images(
    file: Path, part: str, *, batch_size: int, most: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Yields the images of one part, in the order of its rows.

    Args:
        file: `data/train.npz`, as the stage `split` wrote it.
        part: `train`, `val` or `confirmation`; its rows are sorted.
        batch_size: Images at a time, >= 1; the last batch holds what is left.
        most: Where the part has more, those at the places of `evenly`.

    Raises:
        DataIntegrityError: As `row_batches`.
    """
    (num_images, *image_shape) = row_shape(file, "images")
    is_wanted = np.zeros(num_images, bool)
    rows = whole_array(file, part)
    is_wanted[rows[evenly(len(rows), most)]] = True
    waiting = np.empty((0, *image_shape), np.uint8)
    start = 0
    for images in row_batches(file, "images", batch_size=batch_size):
        wanted = images[is_wanted[start : start + len(images)]]
        start += len(images)
        waiting = np.concatenate([waiting, wanted])
        if len(waiting) >= batch_size:
            yield waiting[:batch_size]
            waiting = waiting[batch_size:]
    if len(waiting):
        yield waiting


def part_labels(file: Path, part: str) -> NDArray[np.int64]:
    """Returns the class ids of one part, in the order of its rows, shape (n,).

    Args:
        file: `data/train.npz`, as the stage `split` wrote it.
        part: `train`, `val` or `confirmation`.

    Raises:
        DataIntegrityError: As `row_batches`.
    """
    return np.asarray(whole_array(file, "labels")[whole_array(file, part)], np.int64)


def row_shape(file: Path, name: str) -> tuple[int, ...]:
    """Returns the shape of an array without reading it; see `row_batches` for the errors."""
    with _opened(file, name) as stream:
        return _read_header(stream)[0]


@contextmanager
def _opened(file: Path, name: str) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            yield stream
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataIntegrityError(
            f"{file} must hold a whole array {name!r}. Received: {error}. Run: dvc repro split"
        ) from None


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, is_fortran, dtype = read(stream)
    if is_fortran or dtype.hasobject or not shape:
        raise ValueError(f"an array of type {dtype} and shape {shape} in another order")
    return shape, dtype
