"""Arrays of earlier runs of `embed`, kept by what they depend on: taken instead of computed.

DVC deletes what a stage wrote before it runs it again, so each array has a second name, a hard
link, in a folder that is no out of any stage. What is linked is written once, never into, and its
SHA-256 is compared whenever it is taken. The links cost no disk while `embed` runs; afterwards DVC,
unless its `cache.type` says reflink or hardlink, puts a copy in the place of what the stage wrote
(3.67), and then the store takes as much disk as the features do.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from filelock import BaseFileLock, FileLock

from pipeline.features.arrays import WrittenArray
from pipeline.features.frozen import ENGINES
from pipeline.features.keys import engine_key
from pipeline.features.manifest import MANIFEST, read_manifest
from pipeline.files import sha256_file, write_json, write_whole

logger = logging.getLogger(__name__)

STORE: Final = Path("data/cache/features")

Arrays = dict[str, tuple[str, WrittenArray]]
"""By the cut's name: what an array is stored under, and what was written."""


class ArrayStore:
    """Whole arrays, each as `KEY.npy` with `KEY.json`: without the latter, the former is nothing.

    Several processes may use one store at a time.

    Args:
        folder: Where they lie, such as `data/cache/features`; made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, keys: Mapping[str, str], folder: Path) -> Arrays:
        """Puts what the store has of a base's arrays where they belong.

        Args:
            keys: Keys of the wanted arrays, from `features.keys.array_keys`, by the cut's name.
            folder: The base's, such as `data/features/BASE`; has none of these arrays yet.

        Returns:
            Those that were found and whole. A damaged one is named in the log and removed.
        """
        taken: Arrays = {}
        for cut, key in keys.items():
            # ONNX Runtime's first: another engine's are of when it could not be used.
            for stored in (engine_key(key, engine) for engine in ENGINES):
                if array := self._take(stored, folder / f"{cut}.npy"):
                    taken[cut] = (stored, array)
                    break
        return taken

    def keep(self, arrays: Arrays, folder: Path) -> None:
        """Takes arrays that were just written into the store.

        Args:
            arrays: Those of one base, by the cut's name.
            folder: Where they were written, as `CUT.npy`.
        """
        for cut, (key, array) in arrays.items():
            with self._lock():
                _link(folder / f"{cut}.npy", self._file(key))
                write_json(self._note(key), asdict(array))

    def unnamed(self, features: Path) -> dict[str, int]:
        """Returns the keys of what no manifest names, with bytes, the one used last first.

        What has another name elsewhere is not among them, such as what `embed` has just taken and
        not yet described: to remove it here would free nothing.

        Args:
            features: The stage's folder, `data/features`; may be missing.
        """
        if not self.folder.is_dir():
            return {}
        manifests = [read_manifest(path.parent) for path in features.glob(f"*/{MANIFEST}")]
        named = {cut.key for manifest in manifests for cut in manifest.cuts.values()}
        # Locked, so that none goes between being listed and being looked at.
        with self._lock():
            files = [file for file in self.folder.glob("*.npy") if file.stem not in named]
            alone = [file for file in files if file.stat().st_nlink == 1]
            return {file.stem: file.stat().st_size for file in sorted(alone, key=self._age)}

    def trim(self, features: Path, *, most_bytes: int) -> None:
        """Removes what was used longest ago of what no manifest names, until the rest is small.

        Args:
            features: The stage's folder, `data/features`; may be missing.
            most_bytes: What may stay of it.
        """
        kept = 0
        for key, num_bytes in self.unnamed(features).items():
            kept += num_bytes
            if kept > most_bytes:
                self.remove(key)
                logger.info("%s/%s of an earlier run was removed for room", self.folder, key)

    def remove(self, key: str) -> None:
        """Removes an array, if it is there."""
        with self._lock():
            self._note(key).unlink(missing_ok=True)
            self._file(key).unlink(missing_ok=True)

    def _take(self, key: str, destination: Path) -> WrittenArray | None:
        file = self._file(key)
        with self._lock():
            array = self._written(key)
            if array is None or not file.is_file():
                return None
            found = sha256_file(file)
            if found == array.sha256:
                _link(file, destination)
                self._note(key).touch()
                return array
        logger.warning(
            "%s was damaged, and is not taken. Its SHA-256 is %s, not %s.",
            *(file, found, array.sha256),
        )
        self.remove(key)
        return None

    def _written(self, key: str) -> WrittenArray | None:
        try:
            return WrittenArray(**json.loads(self._note(key).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    def _note(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _age(self, file: Path) -> float:
        note = self._note(file.stem)
        return -note.stat().st_mtime if note.is_file() else 0.0

    def _lock(self) -> BaseFileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "lock")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Two disks, or one that knows no links.
        with write_whole(target) as part:
            shutil.copyfile(source, part)
