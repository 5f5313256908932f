"""Files that are whole or absent: written beside their place, then renamed; and their hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, DataIntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_BYTES = 1 << 20
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def part_of(path: Path) -> Path:
    """Returns where `path` is written before it is renamed.

    The suffix stays last, since `np.save` and Keras choose a format by it.

    >>> part_of(Path("data/train.npz")).name
    'train.part.npz'
    """
    return path.with_name(f"{path.stem}.part{path.suffix}")


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Gives a path to write to, and renames it to `path` once the block has ended well.

    Whoever finds `path` finds all of it, also after a kill or a power cut: the content reaches the
    disk before the name does. When the block raises, nothing is left. Missing folders are made.

    Args:
        path: The final name. What was there before stays until the new content is whole.

    Raises:
        ConfigError: If the folder cannot be written, or the disk is full.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        part.touch()
    except OSError as error:
        if error.errno not in _NOT_WRITABLE | _DISK_FULL:
            raise
        raise ConfigError(_not_writable(path, error)) from None
    try:
        yield part
        _sync(part)
        part.replace(path)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise ConfigError(_not_writable(path, error)) from None
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_json(path: Path, value: object) -> None:
    """Writes `value` as JSON with sorted keys, so that equal values give equal files."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    with write_whole(path) as part:
        part.write_text(f"{text}\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Returns what an earlier stage wrote.

    Raises:
        DataIntegrityError: If there is no such file, or it is not whole.
    """
    if not path.is_file():
        raise DataIntegrityError(f"There is no {path.name} yet: {path}. Run `dvc repro` first.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataIntegrityError(
            f"{path} is not readable: {error}. Delete it and run `dvc repro`."
        ) from None


def sha256_file(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_arrays(*arrays: NDArray[Any]) -> str:
    """Returns the SHA-256 of the elements of all arrays, in C order, 64 hex digits.

    Shape and dtype take no part: two hashes compare only where these are known to agree.

    >>> import numpy as np
    >>> sha256_arrays(np.array([1], np.uint8), np.array([2], np.uint8))[:8]
    'a12871fe'
    """
    import numpy as np  # Most who use files need none.

    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _not_writable(path: Path, error: OSError) -> str:
    fix = "Free some space" if error.errno in _DISK_FULL else "Allow writing there"
    return f"{path} cannot be written: {error.strerror}. {fix} and run again."


def _sync(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    # Windows has no handle for a folder; there the rename itself is all that can be had.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
