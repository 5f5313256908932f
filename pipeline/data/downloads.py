"""One source file from one place: streamed, measured, and kept only if it is the published one.

A place is an address, a folder, or a tar archive, of which only the named files are taken.
"""

import hashlib
import http.client
import logging
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.data.datasets import SourceFile
from pipeline.errors import DataIntegrityError, SourceError
from pipeline.files import BLOCK_BYTES, sha256_file, write_whole
from pipeline.steps import step

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
# A connection that breaks half way often holds the second time; a wrong file stays wrong.
_TRIES = 2


class _BrokenOffError(SourceError):
    """The bytes stopped coming before the end of the file."""


class _CutShortError(DataIntegrityError):
    """The bytes ended before the end of the file, as if it were whole."""


def receive(stream: IO[bytes] | http.client.HTTPResponse, file: SourceFile, folder: Path) -> None:
    """Copies a stream to `folder/NAME`, which appears only if every byte is as published.

    Raises:
        DataIntegrityError: If the content is another one, or longer or shorter.
        SourceError: If the stream fails before its end.
    """
    digest, received = hashlib.sha256(), 0
    one = step(file.name, total=file.size_bytes, unit="bytes")
    with write_whole(folder / file.name) as part, part.open("wb") as target, one as bar:
        while received <= file.size_bytes:
            block = _read(stream, file, received)
            if not block:
                break
            target.write(block)
            digest.update(block)
            received += len(block)
            bar.advance(len(block))
        if (digest.hexdigest(), received) != (file.sha256, file.size_bytes):
            kind = _CutShortError if received < file.size_bytes else DataIntegrityError
            raise kind(_mismatch(file, digest.hexdigest(), received))


def download(
    address: str, file: SourceFile, folder: Path, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> None:
    """Brings the file at `address` to `folder/NAME`, once more if the connection breaks.

    Args:
        address: An http or https address.
        file: What should lie there.
        folder: The folder in which `NAME` appears; made if it is missing.
        timeout_seconds: Longest wait for a connection, and for the next bytes.

    Raises:
        DataIntegrityError: If what lies there is not the published file.
        SourceError: If it cannot be had.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            with _open(address, timeout_seconds) as response:
                return receive(response, file, folder)
        except (_BrokenOffError, _CutShortError) as error:
            if attempt == _TRIES:
                raise
            logger.warning("%s: %s; trying again", address, error)
    return None


def copy_file(path: Path, file: SourceFile, folder: Path) -> None:
    """Brings a file of this machine to `folder/NAME`, checked like a download.

    Raises:
        DataIntegrityError: If it is not the published file.
        SourceError: If it cannot be read.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise SourceError(str(error.strerror)) from None
    with stream:
        receive(stream, file, folder)


def is_kept(file: SourceFile, folder: Path) -> bool:
    """Says whether `folder` holds the published file; deletes one that is not it."""
    path = folder / file.name
    if not path.is_file():
        return False
    found = sha256_file(path)
    if found == file.sha256:
        return True
    logger.warning(
        "%s is deleted and fetched again: expected sha256 %s, found %s", path, file.sha256, found
    )
    path.unlink()
    return False


def _open(address: str, timeout_seconds: float) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(
            address, timeout=timeout_seconds
        )
    except urllib.error.HTTPError as error:
        with error:
            raise SourceError(f"HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(str(getattr(reason, "strerror", None) or reason)) from None
    return response


def _read(stream: IO[bytes] | http.client.HTTPResponse, file: SourceFile, received: int) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except (OSError, EOFError, http.client.HTTPException) as error:
        raise _BrokenOffError(
            f"stopped at {received:,} of {file.size_bytes:,} bytes ({error})"
        ) from None


def _mismatch(file: SourceFile, found: str, received: int) -> str:
    size = f"{received:,} bytes"
    if received < file.size_bytes:
        size += ", cut short"
    elif received > file.size_bytes:
        size += " and more"
    return (
        f"{file.name} must have sha256 {file.sha256} and {file.size_bytes:,} bytes. "
        f"Received: sha256={found}, {size}; it was not kept"
    )


_BROKEN = (tarfile.TarError, EOFError, zlib.error)


def take_members(
    archive: tarfile.TarFile, files: Iterable[SourceFile], folder: Path, *, label: str
) -> None:
    """Copies the named members to `folder/NAME`, each only if it is the published file.

    A member is found by the last part of its path; no path that the archive names is written to,
    and links are not followed.

    Args:
        archive: An open tar file; a stream (`r|`) will do.
        files: Published files that the archive holds, each under its name.
        folder: The folder in which `NAME` appears; made if it is missing.
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
