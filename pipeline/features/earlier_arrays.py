"""Arrays that earlier runs of `embed` wrote, found by what they depend on and checked when taken.

An array is taken only if a manifest, which is written last, names the same key, and only if its
file has the SHA-256 that the manifest names. Files are read, copied and unlinked, never written to:
they may be links into DVC's cache.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.features.arrays import WrittenArray
from pipeline.features.manifest import MANIFEST
from pipeline.files import BLOCK_BYTES, sha256_file, write_whole

logger = logging.getLogger(__name__)

_DESCRIPTION: Final = frozenset({"key", "mean", "variance", "centre", "sha256"})


@dataclass(frozen=True, kw_only=True)
class EarlierArray:
    """An array that a manifest describes.

    Attributes:
        key: From `features.keys`.
        file: Where it lies; only to be read.
        array: What the manifest says of it, not yet checked.
    """

    key: str
    file: Path
    array: WrittenArray


class EarlierArrays:
    """Finds arrays by their key.

    Args:
        folders: What `data/features` held, each: path in it, with forward slashes -> where that
            lies now. They are looked at in order, no further than needed.
    """

    def __init__(self, folders: Iterable[Mapping[str, Path]]) -> None:
        self._unseen = (array for folder in folders for array in _arrays_in(folder))
        self._seen: dict[str, dict[Path, EarlierArray]] = {}

    def find(self, key: str) -> Iterator[EarlierArray]:
        """Yields the arrays of this key, each file once: where one is damaged, the next may do."""
        number = 0
        while True:
            of_key = [*self._seen.get(key, {}).values()]
            if number < len(of_key):
                yield of_key[number]
                number += 1
                continue
            array = next(self._unseen, None)
            if array is None:
                return
            self._seen.setdefault(array.key, {}).setdefault(array.file, array)


def files_in(folder: Path) -> dict[str, Path]:
    """Returns the files below a folder by their paths in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def is_whole(earlier: EarlierArray) -> bool:
    """Whether the file is what the manifest says; one that is not is named in the log."""
    return _same(sha256_file(earlier.file), earlier)


def copy_array(earlier: EarlierArray, destination: Path) -> bool:
    """Copies an array and checks it; returns False, and leaves no file, if it is not whole."""
    digest = hashlib.sha256()
    with (
        write_whole(destination) as part,
        earlier.file.open("rb") as source,
        part.open("wb") as target,
    ):
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            target.write(block)
    if _same(digest.hexdigest(), earlier):
        return True
    destination.unlink()
    return False


def remove_all_but(folder: Path, kept: set[Path]) -> None:
    """Empties a folder of everything but some files.

    Manifests go with the rest, so that the kept files count as nothing until there is a new one.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink() or not path.is_dir():
            if path not in kept:
                path.unlink()
        elif any(path in file.parents for file in kept):
            remove_all_but(path, kept)
        else:
            shutil.rmtree(path)


def _arrays_in(files: Mapping[str, Path]) -> Iterator[EarlierArray]:
    for name, path in files.items():
        folder, _, last = name.rpartition("/")
        if last == MANIFEST:
            for entry in _entries(path):
                file = files.get(f"{folder}/{entry.get('file')}")
                if file is not None and entry.keys() >= _DESCRIPTION:
                    yield _described(entry, file)


def _entries(manifest: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    cuts = content.get("cuts") if isinstance(content, dict) else None
    return [entry for entry in cuts.values() if isinstance(entry, dict)] if cuts else []


def _described(entry: Mapping[str, Any], file: Path) -> EarlierArray:
    array = WrittenArray(
        mean=entry["mean"],
        variance=entry["variance"],
        sha256=str(entry["sha256"]),
        centre=entry["centre"],
    )
    return EarlierArray(key=str(entry["key"]), file=file, array=array)


def _same(sha256: str, earlier: EarlierArray) -> bool:
    if sha256 != earlier.array.sha256:
        logger.warning(
            "%s is not what its manifest says, and is not taken. Its SHA-256 is %s, not %s.",
            earlier.file,
            sha256,
            earlier.array.sha256,
        )
    return sha256 == earlier.array.sha256
