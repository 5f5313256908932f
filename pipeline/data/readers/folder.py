"""Reads a folder of one's own images: a sub-folder per class, divided into parts or not."""

import hashlib
import io
import logging
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.data.images import EXTENSIONS, decode_image, to_gray
from pipeline.data.labelled import PARTS, LabelledImages
from pipeline.errors import ConfigError, DataIntegrityError

logger = logging.getLogger(__name__)

_LAYOUT = "one sub-folder of images per class, or train/ (and val/, test/) with these inside"
# Folders of these names are parts in other people's layouts; as classes they would be nonsense.
_PART_NAMES = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
)


@dataclass(frozen=True)
class _Entry:
    """One image file, and what its place says about it."""

    path: Path
    part: str
    class_name: str


def read_folder(
    root: Path, *, image_size: int, color: Literal["auto", "rgb", "gray"]
) -> LabelledImages:
    """Reads every image below `root`, in the order of part, class and path.

    Below a class, deeper folders belong to it. Hidden files and files of other kinds are ignored,
    and counted in the log. If `root` has a folder train/ with folders inside, it is divided: its
    parts are train/, val/ and test/, of which the last two may be absent.

    Args:
        root: The folder.
        image_size: Height and width that images are brought to, pixels; `images` says how.
        color: "rgb", "gray", or "auto": gray if every file is stored as gray.

    Raises:
        ConfigError: If there is no such folder.
        DataIntegrityError: If it holds no classes, fewer than two, one without images, one that is
            not in train/, or a file that cannot be read. All such files are named.
    """
    entries = _find_images(root)
    class_names = _class_names(entries, root)
    pixels, all_gray, files = _decode_all(entries, root, image_size=image_size)
    is_gray = color == "gray" or (color == "auto" and all_gray)
    numbers = {name: number for number, name in enumerate(class_names)}
    return LabelledImages(
        images=np.stack([to_gray(image) for image in pixels]) if is_gray else pixels,
        labels=np.array([numbers[entry.class_name] for entry in entries], np.int64),
        parts=np.array([entry.part for entry in entries], "<U5"),
        class_names=class_names,
        files=files,
    )


def _decode_all(
    entries: list[_Entry], root: Path, *, image_size: int
) -> tuple[NDArray[np.uint8], bool, dict[str, str]]:
    """Returns RGB pixels, whether every file is stored as gray, and the files' hashes by name."""
    pixels = np.empty((len(entries), image_size, image_size, 3), np.uint8)
    files: dict[str, str] = {}
    unreadable: list[str] = []
    all_gray = True
    for index, entry in enumerate(
        tqdm(entries, desc=root.name, unit="image", file=sys.stderr, disable=None)
    ):
        name = entry.path.relative_to(root).as_posix()
        try:
            content = entry.path.read_bytes()
            pixels[index], is_gray = decode_image(io.BytesIO(content), image_size=image_size)
        except OSError as error:
            unreadable.append(f"{name} cannot be opened: {error.strerror}")
        except DataIntegrityError as error:
            unreadable.append(f"{name} {error}")
        else:
            all_gray = all_gray and is_gray
            files[name] = hashlib.sha256(content).hexdigest()
    if unreadable:
        raise DataIntegrityError(_all_unreadable(root, unreadable, num_images=len(entries)))
    return pixels, all_gray, files


def _find_images(root: Path) -> list[_Entry]:
    if not root.is_dir():
        raise ConfigError(
            f"fetch.path must be a folder with {_LAYOUT}. Received: fetch.path={str(root)!r}, "
            "which is not there."
        )
    entries: list[_Entry] = []
    ignored: Counter[str] = Counter(_kind(path) for path in root.iterdir() if path.is_file())
    for part, folder in _part_folders(root).items():
        for class_folder in _sub_folders(folder):
            paths, others = _images_below(class_folder)
            ignored += others
            if not paths:
                name = class_folder.relative_to(root).as_posix()
                raise DataIntegrityError(
                    f"{root}: every class needs images ({', '.join(sorted(EXTENSIONS))}). "
                    f"Received: none in {name}/. Add some, or remove the folder."
                )
            entries += [_Entry(path, part, class_folder.name) for path in paths]
    if ignored:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))
        logger.info("%s: ignored %d files: %s", root, ignored.total(), kinds)
    return entries


def _part_folders(root: Path) -> dict[str, Path]:
    """Returns the folder that holds the class folders of each part."""
    names = {folder.name for folder in _sub_folders(root)}
    if not names:
        raise DataIntegrityError(
            f"fetch.path must hold {_LAYOUT}. Received: no folders in {root}/. "
            "Put your images there, or set fetch.path to where they are."
        )
    if "train" in names and _sub_folders(root / "train"):
        if strange := sorted(names - set(PARTS)):
            raise DataIntegrityError(
                f"{root} is divided, so it must hold train/, val/ and test/ only. "
                f"Received: {', '.join(strange)}. Rename or move these."
            )
        return {part: root / part for part in PARTS if part in names}
    if {name.lower() for name in names} <= _PART_NAMES:
        raise DataIntegrityError(
            f"fetch.path must hold {_LAYOUT}. Received: {', '.join(sorted(names))} in {root}/."
        )
    return {"train": root}


def _class_names(entries: list[_Entry], root: Path) -> tuple[str, ...]:
    in_train = {entry.class_name for entry in entries if entry.part == "train"}
    for entry in entries:
        if entry.class_name not in in_train:
            raise DataIntegrityError(
                f"{root}: every class must be in train/. "
                f"Received: {entry.class_name} in {entry.part}/ only."
            )
        if not entry.class_name.isprintable():
            raise DataIntegrityError(
                f"{root}: a class is named by its folder, in printable characters. "
                f"Received: {entry.class_name!r}. Rename the folder."
            )
    return tuple(sorted(in_train))


def _images_below(folder: Path) -> tuple[list[Path], Counter[str]]:
    found: list[Path] = []
    ignored: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent) / name for name in names):
            if _kind(path) in EXTENSIONS:
                found.append(path)
            else:
                ignored[_kind(path)] += 1
    return sorted(found), ignored


def _kind(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden"
    return path.suffix.lower() or "without a suffix"


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _all_unreadable(root: Path, unreadable: list[str], *, num_images: int) -> str:
    lines = "\n".join(f"  {line}." for line in unreadable)
    return (
        f"Every image below {root} must be readable. Received: {len(unreadable)} of {num_images} "
        f"that are not:\n{lines}\nRepair or remove them."
    )
