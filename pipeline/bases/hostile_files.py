"""Model files that would fill memory or disk, or write outside their folder, once they are opened.

A configuration of huge layers is not looked for: memory is filled when Keras makes them.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final

# Keras stores weights as they are: a file that is much smaller than what it holds is none of it.
LARGEST_UNPACKED: Final = 200_000_000
MOST_RATIO: Final = 20


def problem_of_archive(path: Path, archive: zipfile.ZipFile) -> str:
    """Says what a `.keras` file is, if it is hostile; else nothing.

    Args:
        path: The file.
        archive: The same, opened.
    """
    names = archive.namelist()
    outside = [n for n in names if n.startswith(("/", "\\")) or ".." in Path(n).parts]
    if outside:
        return f"an archive that writes to {outside[0]!r}"
    if problem := _bomb(path, sum(one.file_size for one in archive.infolist())):
        return problem
    try:
        for name in names:
            if name.endswith(".h5"):
                with archive.open(name) as stream:
                    if problem := _bomb(path, _unpacked_bytes(stream)):
                        return problem
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error):
        # Damaged: Keras reads it no further either, and whoever loads it says so.
        return ""
    return ""


def problem_of_hdf5(path: Path) -> str:
    """Says what an HDF5 file is, if it is hostile; else nothing.

    Raises:
        OSError: If it is no HDF5.
    """
    return _bomb(path, _unpacked_bytes(path))


def _bomb(path: Path, unpacked: int) -> str:
    packed = path.stat().st_size
    if unpacked <= max(LARGEST_UNPACKED, MOST_RATIO * packed):
        return ""
    return f"a file of {packed / 1e6:.0f} MB that unpacks to {unpacked / 1e6:,.0f} MB"


def _unpacked_bytes(file: Path | IO[bytes]) -> int:
    """Returns what the arrays of an HDF5 file take in memory, bytes; they are not read."""
    import h5py

    found = 0

    def add(_: str, entry: Any) -> None:
        nonlocal found
        if isinstance(entry, h5py.Dataset):
            found += math.prod(entry.shape) * entry.dtype.itemsize

    with h5py.File(file) as opened:
        opened.visititems(add)
    return found
