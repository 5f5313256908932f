"""What is published where, apart from how it is brought, so that naming it loads nothing."""

import urllib.parse
from dataclasses import dataclass

from pipeline.errors import ConfigError


@dataclass(frozen=True)
class SourceFile:
    """A published file.

    Attributes:
        name: Its name wherever it lies.
        sha256: SHA-256 of its bytes, 64 hex digits.
        size_bytes: How many bytes it has.
    """

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class PublicFiles:
    """The files of a public dataset and where they are published.

    Attributes:
        folder: The sub-folder of a mirror in which they may lie; flat is fine too.
        files: The files that the dataset is read from; all are needed.
        addresses: http or https folders, each ending in a slash, that hold the files by name.
        archive: A tar file that holds them all, or None.
        archive_addresses: Folders that hold the archive by name.
        debian_package: A Debian package that holds them all, or None.
    """

    folder: str
    files: tuple[SourceFile, ...]
    addresses: tuple[str, ...] = ()
    archive: SourceFile | None = None
    archive_addresses: tuple[str, ...] = ()
    debian_package: str | None = None


def check_mirror(name: str, mirror: str) -> None:
    """Refuses an address of another kind than http or https.

    Raises:
        ConfigError: If it is one; the message calls the setting `name`.
    """
    if "://" in mirror and not is_address(mirror):
        raise ConfigError(
            f"{name} must be a folder, or an http or https address. Received: {name}={mirror!r}."
        )


def is_address(place: str) -> bool:
    """Whether a place is an http or https address, and not a folder."""
    return urllib.parse.urlsplit(place).scheme in {"http", "https"}
