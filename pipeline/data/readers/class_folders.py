"""Whether folders can be classes: what speaks against it is refused, with the key that says it.

Half of the images in sub-folders whose names, two or more, are the same below at least half of the
folders: then these are probably the classes, and the folders parts that nobody understood.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.data.readers.part_names import claim_of
from pipeline.data.readers.tree import Folder
from pipeline.errors import DataIntegrityError

EXPECTED: Final = (
    "one sub-folder of images per class, or train/ (and val/, test/) with these inside"
)
EXPLICIT: Final = (
    "If these are classes, set fetch.parts: none. If they are parts, name their folders: "
    "fetch.parts: {train: FOLDER, val: FOLDER, confirmation: FOLDER, test: FOLDER}"
)
TABLE: Final = "If a table says each image's class, set fetch.labels to that CSV or TSV file"
# Images beside a wrapper's only folder: a preview, but no class of their own.
_FEW_LOOSE: Final = 0.1


def wrapped(folder: Folder) -> Folder | None:
    """Returns the one folder of folders that a folder holds; None if there is none, or more.

    Folders without images count, unless what it holds is called like several parts.
    """
    if len(folder.full) != 1:
        return None
    inner = folder.full[0]
    parts = {claim.part for each in inner.full if (claim := claim_of(each.name)) and not claim.rest}
    if len(folder.folders) != 1 and len(parts) < 2:
        return None
    is_wrapper = inner.full and len(folder.images) <= _FEW_LOOSE * inner.num_images
    return inner if is_wrapper else None


def not_understood(
    folder: Folder, rule: str, received: Sequence[str] | Mapping[str, object]
) -> DataIntegrityError:
    """Returns the refusal of folders by a rule; it says how to say it explicitly."""
    where = " in fetch.path" if folder.path == "." else f" in {folder.path}/"
    shown = ", ".join(list(received)[:10])
    return DataIntegrityError(f"{rule}. Received: {shown}{where}. {EXPLICIT}.")


def check_class(folder: Folder) -> None:
    """Refuses a class without images, or with a name that cannot be shown."""
    if not folder.num_images:
        raise DataIntegrityError(
            f"Every class needs images that can be read. Received: none in {folder.path}/. "
            "Add some, or remove the folder."
        )
    if not folder.name.isprintable():
        raise DataIntegrityError(
            "A class is named by its folder, in printable characters. "
            f"Received: {folder.name!r}. Rename the folder."
        )


def check_there(folder: Folder) -> None:
    """Refuses a folder without folders."""
    if folder.folders:
        return
    received = f"{len(folder.images)} images and no folders" if folder.images else "no folders"
    raise DataIntegrityError(
        f"fetch.path must hold {EXPECTED}. Received: {received}. Put your images there, or set "
        f"fetch.path to where they are. {TABLE}."
    )


def check_classes(folder: Folder) -> None:
    """Refuses folders that are about to be classes and look like parts, or hold the classes."""
    claims = {each.name: claim for each in folder.full if (claim := claim_of(each.name))}
    certain = {name for name, claim in claims.items() if not claim.rest}
    is_flat = not any(each.full for each in folder.full)
    is_vehicle = {name.lower() for name in certain} <= {"train"} and is_flat
    if (certain and not is_vehicle) or len({claim.part for claim in claims.values()}) > 1:
        raise not_understood(folder, "Classes must not be called like parts", sorted(claims))
    below = {each.name for top in folder.full for each in top.walk() if each is not top}
    inner = {name: claim for name in below if (claim := claim_of(name)) and not claim.rest}
    if len({claim.part for claim in inner.values()}) > 1:
        raise not_understood(folder, "Parts must hold classes, not classes parts", sorted(inner))
    shared = _shared_names(folder.full)
    if len(shared) > 1:
        raise not_understood(
            folder,
            "Classes must not have the same sub-folders, which look like the classes",
            sorted(shared),
        )


def _shared_names(folders: Sequence[Folder]) -> set[str]:
    inner = []
    for folder in folders:
        while (inner_folder := wrapped(folder)) is not None:
            folder = inner_folder
        inner.append({each.name: each.num_images for each in folder.full})
    counts = Counter(name for names in inner for name in names)
    least = max(2, len(folders) / 2)
    shared = {name for name, count in counts.items() if count >= least}
    num_shared = sum(names[name] for names in inner for name in names if name in shared)
    return shared if 2 * num_shared >= sum(folder.num_images for folder in folders) else set()
