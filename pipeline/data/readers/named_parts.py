"""The folders of the parts as `fetch.parts` names them."""

from collections.abc import Mapping

from pipeline.data.parts import PARTS
from pipeline.data.readers.class_folders import check_class, wrapped
from pipeline.data.readers.left_out import NO_CLASS, OTHER_FOLDER, SAME_FILE
from pipeline.data.readers.sorting import Layout, Sorting, images_apart
from pipeline.data.readers.tree import Folder
from pipeline.errors import ConfigError, DataIntegrityError


def lay_out_named(top: Folder, parts: Mapping[str, str], sorting: Sorting) -> Layout:
    """Takes the classes in the folders that are named; all other images are left out.

    A part's folder may lie in another's: its images are then of the inner one alone.

    Args:
        top: The folder that is read.
        parts: A folder below it for each part; train is among them.
        sorting: Where the images go.

    Raises:
        ConfigError: If a folder is not there.
        DataIntegrityError: If one has no class folders, or a class is not in train.
    """
    folders = {part: _find(top, part, parts[part]) for part in PARTS if part in parts}
    paths = frozenset(folder.path for folder in folders.values())
    for part, folder in folders.items():
        inner = _unwrap_apart(folder, paths)
        without = paths - {inner.path}
        if not [each for each in inner.full if images_apart(each, without)]:
            raise DataIntegrityError(
                f"fetch.parts.{part} must be a folder with a folder of images per class. Received: "
                f"{parts[part]!r}, which has no such folders."
            )
        for each in inner.full:
            if images_apart(each, without):
                check_class(each)
                sorting.take(each, part=part, without=without)
    settled = {entry.image.name for entry in sorting.entries}
    settled |= set(sorting.left_out.names.get(SAME_FILE, ()))
    for image in top.all_images():
        if image.name not in settled:
            is_inside = any(path == "." or image.name.startswith(f"{path}/") for path in paths)
            sorting.left_out.add(NO_CLASS if is_inside else OTHER_FOLDER, image.name)
    places = {part: folder.path for part, folder in folders.items()}
    text = ", ".join(f"{path}/ is {part}" for part, path in places.items())
    return sorting.layout({"parts": places}, f"{text}, as fetch.parts says")


def _unwrap_apart(folder: Folder, paths: frozenset[str]) -> Folder:
    inner = wrapped(folder)
    while inner is not None and not paths & {each.path for each in inner.walk()}:
        folder, inner = inner, wrapped(inner)
    return folder


def _find(top: Folder, part: str, path: str) -> Folder:
    folder = top
    for name in path.replace("\\", "/").strip("/").split("/"):
        if name in ("", "."):
            continue
        if name not in folder.folders:
            has = ", ".join(sorted(folder.folders)) or "none"
            raise ConfigError(
                f"fetch.parts.{part} must be a folder below fetch.path. Received: {path!r}, but "
                f"the folders in {folder.path}/ are: {has}."
            )
        folder = folder.folders[name]
    return folder
