"""What the folders of somebody's images mean: which are parts, which are classes.

The rules, in this order; whatever looks like parts and is not understood is refused:

1. A folder that holds nothing but one folder is a wrapper, at any number of levels.
2. Folders whose names say a part (`part_names`) are parts, if one of them is train, no two are the
   same part, and none of their siblings may be a class. Sub-folders of a part are classes. A part
   whose images lie in no class folder does not exist; these images are left out.
3. One exception: `train`, literally, is a class where it holds images directly, as all its siblings
   do, and no sibling's name says a part: vehicles are train, car and bus.
4. Otherwise folders are classes. They are refused if other names of theirs say parts, if folders
   in them say several parts, or if half of the images lie in sub-folders whose names, two or more,
   are the same below at least half of the classes: then these are probably the classes.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import Literal

from pipeline.data.parts import PARTS
from pipeline.data.readers.class_folders import (
    EXPECTED,
    EXPLICIT,
    TABLE,
    check_class,
    check_classes,
    check_there,
    not_understood,
    wrapped,
)
from pipeline.data.readers.part_names import EVALUATION, claim_of, is_unlabelled
from pipeline.data.readers.sorting import Layout, Sorting, images_apart
from pipeline.data.readers.tree import Folder, Tree
from pipeline.errors import ConfigError, DataIntegrityError

Parts = Literal["auto", "none"] | Mapping[str, str]


def lay_out(tree: Tree, *, parts: Parts) -> Layout:
    """Decides what the folders mean, by the rules of this module.

    Args:
        tree: What was found below the folder; images that are not used are left out there, too.
        parts: "auto": by their names; "none": all folders are classes; or the folders of the parts,
            where train must be among them.

    Raises:
        ConfigError: If a folder of `parts` is not there.
        DataIntegrityError: If there are no classes, one has no images or is not in train, or
            folders look like parts and are not understood.
    """
    sorting = Sorting(tree=tree)
    if isinstance(parts, Mapping):
        return _by_names(tree.top, parts, sorting)
    folder = _unwrap(tree.top)
    divided = _divided(folder) if parts == "auto" else None
    if divided is None:
        check_there(folder)
        if parts == "auto":
            check_classes(folder)
        _take_classes(folder, "train", sorting)
        where = "" if folder is tree.top else f" in {folder.path}/"
        like_parts = ", ".join(each.path for each in folder.full if claim_of(each.name))
        text = f"folders{where} are classes, no parts"
        text += f"; so are those called like parts: {like_parts}" if like_parts else ""
        return sorting.layout({"classes": folder.path}, text)
    return _by_parts(folder, divided, sorting)


def _unwrap(folder: Folder, *, of_part: str | None = None, known: Container[str] = ()) -> Folder:
    """Goes down while a folder holds nothing but one folder of folders, which is no class.

    Args:
        folder: The outermost folder, with what lies in it.
        of_part: What part it was taken for, if so.
        known: Classes, where they are known already.

    Raises:
        DataIntegrityError: If `of_part` is given and a folder on the way says another part.
    """
    while True:
        inner = wrapped(folder)
        claim = claim_of(inner.name) if inner else None
        is_part = claim is not None and not claim.rest
        if inner is None or inner.name in known or (is_part and of_part is None):
            return folder
        if claim is not None and is_part and claim.part not in (of_part, EVALUATION):
            raise DataIntegrityError(
                f"A part's folder must not hold another part. Received: {inner.path}/ in what was "
                f"taken for {of_part}. {EXPLICIT}."
            )
        folder = inner


def _divided(folder: Folder) -> dict[str, Folder] | None:
    """Returns the folder of each part; None if the folders are no parts."""
    claims = {each.name: claim for each in folder.full if (claim := claim_of(each.name))}
    certain = {name for name, claim in claims.items() if not claim.rest}
    if not certain and len({claim.part for claim in claims.values()}) > 1:
        # flowers_train beside flowers_test: the word is the data set's.
        same_rest = len({claim.rest for claim in claims.values()}) == 1
        certain = set(claims) if same_rest else set()
    if not certain:
        return None
    others = [each for each in folder.full if each.name not in certain]
    if _is_vehicle(certain, folder.full):
        return None
    classes = [each.path for each in others if not _is_all_unlabelled(each)]
    if classes:
        raise not_understood(folder, "Beside parts there must be no other folders", classes)
    return _assigned(folder, {name: claims[name].part for name in sorted(certain)})


def _is_all_unlabelled(folder: Folder) -> bool:
    """Whether its images lie in folders of such names alone: `seg_pred/seg_pred/`."""
    return all(is_unlabelled(each.name) for each in folder.walk() if each.images)


def _is_vehicle(certain: set[str], full: Sequence[Folder]) -> bool:
    others = [folder.name for folder in full if folder.name not in certain]
    is_flat = not any(folder.full for folder in full)
    is_train = {name.lower() for name in certain} == {"train"}
    # `train` beside `unlabelled` or `images` is the usual part.
    return is_train and is_flat and bool(others) and not any(map(is_unlabelled, others))


def _assigned(folder: Folder, part_of: Mapping[str, str]) -> dict[str, Folder]:
    evaluation = "val" if "test" in part_of.values() else "test"
    parts = {name: evaluation if p == EVALUATION else p for name, p in part_of.items()}
    if any(count > 1 for count in Counter(parts.values()).values()):
        raise not_understood(folder, "Every part must have one folder", sorted(parts))
    assigned = {part: folder.folders[name] for name, part in parts.items()}
    if "train" not in assigned:
        raise not_understood(folder, "One part must be train", sorted(parts))
    return assigned


def _by_parts(folder: Folder, parts: Mapping[str, Folder], sorting: Sorting) -> Layout:
    others = [each for each in folder.folders.values() if each not in parts.values()]
    without = [each for each in others if claim_of(each.name) and not each.num_images]
    for class_folder in (inner for each in without for inner in each.folders.values()):
        check_class(class_folder)
    places: dict[str, str] = {}
    known: set[str] = set()
    for part in (part for part in PARTS if part in parts):
        inner = _unwrap(parts[part], of_part=part, known=known)
        if part == "train":
            _check_train(inner)
            known = {each.name for each in inner.full}
        elif not any(_is_class(each, inner, known) for each in inner.full):
            without.append(parts[part])
            continue
        _take_classes(inner, part, sorting)
        places[part] = inner.path
    text = ", ".join(f"{path}/ is {part}" for part, path in places.items())
    for each in without:
        text += f"; {each.path}/ has no class folders with images, so it is no part"
    return sorting.layout({"parts": places}, text)


def _is_class(folder: Folder, part: Folder, known: Container[str]) -> bool:
    # `test/unknown/` and `test/test/` are how people bring unlabelled images into a folder.
    is_only = len(part.full) == 1 and not folder.full
    is_nameless = folder.name == part.name or is_unlabelled(folder.name)
    return folder.name in known or not (is_only and is_nameless)


def _check_train(folder: Folder) -> None:
    if not folder.full:
        raise DataIntegrityError(
            f"fetch.path must hold {EXPECTED}. Received: images in {folder.path}/ without class "
            f"folders. {TABLE}; if the folders are classes, set fetch.parts: none."
        )
    check_classes(folder)


def _take_classes(folder: Folder, part: str, sorting: Sorting) -> None:
    for each in folder.folders.values():
        check_class(each)
        sorting.take(each, part=part)


def _by_names(top: Folder, parts: Mapping[str, str], sorting: Sorting) -> Layout:
    """Takes the classes in the folders that `fetch.parts` names; leaves out all other images.

    A part's folder may lie in another's: its images are then of the inner one alone.
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
    places = {part: folder.path for part, folder in folders.items()}
    text = ", ".join(f"{path}/ is {part}" for part, path in places.items())
    return sorting.layout({"parts": places}, f"{text}, as fetch.parts says", inside=paths)


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
