"""Every file below a folder, links followed: the images in their folders, the rest by reason.

This pass decodes nothing. It reads folders, and 16 bytes of files whose names do not say what they
are.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.data.formats import picture_kind
from pipeline.data.readers import left_out as reasons
from pipeline.data.readers.left_out import LeftOut, Reason
from pipeline.errors import DataIntegrityError

# What network drives, systems, cameras' and editors' programs put beside pictures; compared in
# lower case, as folders and as files alike.
_LITTER: Final = frozenset(
    {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", ".@__thumb", "@tmp"}
    | {"__macosx", ".thumbnails", ".ipynb_checkpoints", "lost+found", "$recycle.bin", "recycler"}
    | {"system volume information", ".git", ".dvc", ".svn", ".hg", ".trashes", ".spotlight-v100"}
    | {".fseventsd", ".temporaryitems", ".appledouble", ".picasaoriginals", ".cache", ".idea"}
    | {".vscode", "__pycache__", "network trash folder", ".ds_store", "thumbs.db", "ehthumbs.db"}
    | {"desktop.ini", "icon\r", ".directory", ".localized", ".nomedia", ".picasa.ini"}
    | {"picasa.ini", "zbthumbnail.info", ".gitignore", ".gitattributes", ".gitkeep", ".gitmodules"}
    | {".keep", ".dvcignore"}
)
# Also what a copy or a download that was cut off leaves.
_LITTER_PATTERNS: Final = (
    *("._*", ".trash*", ".nfs*", ".syncthing.*", "~$*", "*~", "*.dvc", "*.lnk"),
    *("*.part", "*.partial", "*.crdownload", "*.download", "*.tmp", "*.bak", "*.swp"),
)
_IS_LITTER: Final = re.compile("|".join(translate(pattern) for pattern in _LITTER_PATTERNS))
_OF_KIND: Final = {
    "HEIF": reasons.HEIF,
    "AVIF": reasons.AVIF,
    "other": reasons.OTHER_FORMAT,
    "none": reasons.NO_PICTURE,
}
# Links that lead to folders which link on can make more paths than there are files in the world.
_MOST_FOLDERS: Final = 200_000


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image file, as the walk came to it.

    Attributes:
        name: Its path below the root, with slashes.
        real: Where it lies, all links resolved: equal for one file reached by two ways.
        is_linked: Whether it, or a folder on the way, is a link.
    """

    name: str
    real: str
    is_linked: bool

    @property
    def stem(self) -> str:
        """Its path without the suffix."""
        return PurePosixPath(self.name).with_suffix("").as_posix()


@dataclass(kw_only=True, eq=False)
class Folder:
    """A folder that may hold images: hidden ones and litter are not among them.

    Attributes:
        name: Its own, without the path; empty for the root.
        path: Below the root, with slashes; "." for the root.
        images: The image files that lie in it directly, by name.
        folders: Those that lie in it, by name.
    """

    name: str
    path: str
    images: list[ImageFile] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)

    @cached_property
    def num_images(self) -> int:
        """All images below it. Only for when the walk is done."""
        return sum(len(folder.images) for folder in self.walk())

    @property
    def full(self) -> list["Folder"]:
        """The folders in it that have images below them, by name."""
        return [folder for folder in self.folders.values() if folder.num_images]

    def walk(self) -> Iterator["Folder"]:
        """Yields it and all folders below."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += reversed(folder.folders.values())

    def all_images(self) -> list[ImageFile]:
        """Returns the images below it, by path."""
        found = [image for folder in self.walk() for image in folder.images]
        return sorted(found, key=lambda image: image.name.split("/"))


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What was found below a folder.

    Attributes:
        root: The folder that was looked through.
        top: The same, with its images.
        left_out: All files that are no images, by reason.
        num_files: Everything but folders, each once for every way that leads to it.
    """

    root: Path
    top: Folder
    left_out: LeftOut
    num_files: int


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A folder to be read."""

    folder: Folder
    path: Path
    is_linked: bool
    reason: Reason | None
    above: frozenset[tuple[int, int]]


def read_tree(root: Path) -> Tree:
    """Finds every file below `root`; links to files and folders are followed.

    A link to a folder that it lies in ends there. A folder that two links lead to is read twice:
    what its files are depends on where the links lie. (Copies in two classes or parts are found by
    the stage `split`, pixel by pixel.)

    Raises:
        DataIntegrityError: If a folder cannot be opened, or links multiply without end.
    """
    top, found, num_files, num_folders = Folder(name="", path="."), LeftOut(), 0, 0
    waiting = [
        _Place(
            folder=top,
            # What is reached from here without a link has its real path.
            path=root.resolve(),
            is_linked=False,
            reason=None,
            above=frozenset({_identity(root)}),
        )
    ]
    while waiting:
        place, num_folders = waiting.pop(), num_folders + 1
        if num_folders > _MOST_FOLDERS:
            raise DataIntegrityError(
                f"{root} must hold at most {_MOST_FOLDERS:,} folders. Received: more, such "
                f"as {place.folder.path}. Do links lead to folders with links? Remove some."
            )
        inner = []
        for entry in _entries(place.path):
            is_folder = _is_folder(entry)
            below = _enter(place, entry, found) if is_folder else None
            if below:
                inner.append(below)
            else:
                num_files += 1
            if not is_folder:
                _file(place, entry, found)
        waiting += reversed(inner)
    return Tree(root=root, top=top, left_out=found, num_files=num_files)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataIntegrityError(
            f"Every folder must be readable. Received: {path}, which cannot be opened: "
            f"{error.strerror}. Allow reading it, or move it away."
        ) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link in a circle of links, or to where nobody may look.
        return False


def _enter(place: _Place, entry: os.DirEntry[str], found: LeftOut) -> _Place | None:
    """Returns the folder as the next place to read; None if it is a link to one that it lies in."""
    path = place.path / entry.name
    identity = _identity(path)
    reason = place.reason or _reason_of_name(entry.name)
    name = _below(place, entry.name)
    if identity in place.above:
        found.add(reasons.CYCLE, name)
        return None
    folder = Folder(name=entry.name, path=name)
    if reason is None:
        place.folder.folders[entry.name] = folder
    return _Place(
        folder=folder,
        path=path,
        is_linked=place.is_linked or entry.is_symlink(),
        reason=reason,
        above=place.above | {identity},
    )


def _file(place: _Place, entry: os.DirEntry[str], found: LeftOut) -> None:
    name, path = _below(place, entry.name), place.path / entry.name
    reason = place.reason or _reason_of_file(entry, path)
    if reason is not None:
        found.add(reason, name)
        return
    is_linked = place.is_linked or entry.is_symlink()
    real = os.path.realpath(path) if is_linked else str(path)
    place.folder.images.append(ImageFile(name=name, real=real, is_linked=is_linked))


def _reason_of_file(entry: os.DirEntry[str], path: Path) -> Reason | None:
    reason = _reason_of_name(entry.name)
    if reason is not None:
        return reason
    try:
        is_file = entry.is_file()
        is_broken = not is_file and entry.is_symlink() and not path.exists()
    except OSError:
        is_file, is_broken = False, True
    if is_broken:
        return reasons.BROKEN_LINK
    # A pipe would never end.
    return _OF_KIND.get(picture_kind(path)) if is_file else reasons.NO_FILE


def _reason_of_name(name: str) -> Reason | None:
    lower = name.lower()
    if lower in _LITTER or _IS_LITTER.match(lower):
        return reasons.LITTER
    return reasons.HIDDEN if name.startswith(".") else None


def _below(place: _Place, name: str) -> str:
    # Names that are no text are kept in bytes' notation: the manifest is text.
    readable = os.fsencode(name).decode("utf-8", "backslashreplace")
    return readable if place.folder.path == "." else f"{place.folder.path}/{readable}"


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
