"""Takes named files out of tar archives, and nothing else."""

import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipeline.data.downloads import receive
from pipeline.data.published import SourceFile
from pipeline.errors import DataIntegrityError, SourceError

_BROKEN = (tarfile.TarError, EOFError, zlib.error)


def take_members(
    archive: tarfile.TarFile, files: Iterable[SourceFile], folder: Path, *, label: str
) -> None:
    """Copies the named members to `folder/NAME`, each only if it is the published file.

    A member is found by the last part of its path; no path that the archive names is written to,
    and links are not followed.

    Args:
        archive: An open tar file; a stream (`r|`) will do.
        files: What to take.
        folder: Where it goes.
        label: What the archive is called in messages.

    Raises:
        DataIntegrityError: If the archive is broken, lacks a file, or holds another one.
    """
    wanted = {file.name: file for file in files}
    try:
        for member in archive:
            file = wanted.get(PurePosixPath(member.name).name)
            if file is None or not member.isfile():
                continue
            stream = archive.extractfile(member)
            if stream is not None:
                receive(stream, wanted.pop(file.name), folder)
            if not wanted:
                return
    except (*_BROKEN, SourceError) as error:
        raise DataIntegrityError(f"{label} is no whole tar file: {error}") from None
    raise DataIntegrityError(f"{label} does not hold {', '.join(wanted)}")


def unpack(archive: Path, files: Iterable[SourceFile], folder: Path) -> None:
    """Takes `files` out of a tar file on disk, compressed or not; see `take_members`."""
    try:
        with tarfile.open(archive) as tar:
            take_members(tar, files, folder, label=archive.name)
    except _BROKEN as error:
        raise DataIntegrityError(f"{archive.name} is no tar file: {error}") from None
