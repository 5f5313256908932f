"""Reads a folder of one's own images: classes by folders or by a table."""

from __future__ import annotations

import hashlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.data.images import Picture, ValueRange, decode_image, to_gray
from pipeline.data.labelled import LabelledImages
from pipeline.data.readers.class_folders import EXPECTED
from pipeline.data.readers.layout import lay_out
from pipeline.data.readers.pixels import (
    log_pixels,
    pixels_on_disk,
    range_in_use,
    resolve_range,
    stored_size,
)
from pipeline.data.readers.sorting import Entry, Layout
from pipeline.data.readers.table import lay_out_table
from pipeline.data.readers.tree import read_tree
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file
from pipeline.steps import counted

if TYPE_CHECKING:
    from pipeline.data.fetch_params import FetchParams

logger = logging.getLogger(__name__)


def find_images(params: FetchParams) -> Layout:
    """Decides of every file below `fetch.path` whether it is used; opens none but the table.

    Raises:
        ConfigError: If there is no such folder, table or column.
        DataIntegrityError: If it holds no classes, or what its folders or rows mean is not certain.
    """
    root, labels = Path(params.path), params.labels
    if not root.is_dir():
        raise ConfigError(
            f"fetch.path must be a folder with {EXPECTED}. Received: fetch.path={str(root)!r}, "
            "which is not there."
        )
    tree = read_tree(root)
    layout = lay_out_table(tree, labels) if labels else lay_out(tree, parts=params.parts)
    num_used, num_left_out = len(layout.entries) + (labels is not None), layout.left_out.total()
    if num_used + num_left_out != tree.num_files:
        # No user can mend this: a file was lost on the way, or taken twice.
        raise RuntimeError(f"{num_used} used, {num_left_out} left out of {tree.num_files}")
    return layout


def read_folder(params: FetchParams, scratch: Path) -> LabelledImages:
    """Reads the images below `fetch.path`, in the order of part, class and path.

    Below a class, deeper folders belong to it. Every other file is counted under a reason.

    Args:
        params: The section `fetch`. Its image size and value range may be what `pixels` makes of
            the files; its colour `auto` is gray if every file is stored as gray.
        scratch: Folder for the pixels until they are saved; see `pixels_on_disk`.

    Raises:
        ConfigError: If there is no such folder, table or column, or the disk is too small.
        DataIntegrityError: If it holds no classes, or what its folders or rows mean is not certain,
            or a file cannot be read. All such files are named.
    """
    found, root = find_images(params), Path(params.path)
    entries = found.entries
    logger.info("%s: %s", root, found.text)
    found.left_out.log(str(root), num_used=len(entries))
    _warn_of_case(str(root), found.class_names)
    if num_linked := sum(entry.image.is_linked for entry in entries):
        # DVC 3.67 does not go into folders that are links.
        logger.info(
            "%s: %d images are reached by links. DVC does not see changes behind them: "
            "run `dvc repro -f fetch` after one",
            *(root, num_linked),
        )
    given = resolve_range(entries, params.value_range)
    side = stored_size(entries, params.image_size)
    pixels = pixels_on_disk((len(entries), side, side, 3), scratch)
    pictures, files = _decode_all(entries, root, pixels, value_range=given)
    is_auto = params.image_size == "auto"
    log_pixels(str(root), pictures, image_size=side, is_auto=is_auto, value_range=given)
    all_gray = all(picture.is_gray for picture in pictures)
    if params.color == "gray" or (params.color == "auto" and all_gray):
        colored, pixels = pixels, pixels_on_disk(pixels.shape[:3], scratch)
        for index, image in enumerate(colored):
            pixels[index] = to_gray(image)
    numbers = {name: number for number, name in enumerate(found.class_names)}
    if params.labels:
        files[params.labels.file] = sha256_file(root / params.labels.file)
    return LabelledImages(
        images=pixels,
        labels=np.array([numbers[entry.class_name] for entry in entries], np.int64),
        parts=np.array([entry.part for entry in entries]),
        class_names=found.class_names,
        files=files,
        left_out=found.left_out.counts(),
        layout=found.described,
        value_range=range_in_use(pictures, given),
        image_files=tuple(entry.image.name for entry in entries),
    )


def _warn_of_case(where: str, names: Sequence[str]) -> None:
    count = Counter(name.casefold() for name in names)
    if alike := [name for name in names if count[name.casefold()] > 1]:
        logger.warning(
            "WARNING: %s: classes that differ in capitals only are different ones: %s. Give them "
            "one name, if they are one",
            *(where, ", ".join(alike)),
        )


def _decode_all(
    entries: Sequence[Entry],
    root: Path,
    pixels: NDArray[np.uint8],
    *,
    value_range: ValueRange | None,
) -> tuple[list[Picture], dict[str, str]]:
    """Fills `pixels`; returns what each file held, and the files' SHA-256 by name."""
    pictures, files, unreadable = [], {}, []
    for index, entry in enumerate(counted(entries, root.name, unit="images")):
        name = entry.image.name
        try:
            content = Path(entry.image.real).read_bytes()
            pixels[index], picture = decode_image(
                io.BytesIO(content), image_size=pixels.shape[1], value_range=value_range
            )
        except OSError as error:
            unreadable.append(f"  {name} cannot be opened: {error.strerror}.\n")
        except DataIntegrityError as error:
            unreadable.append(f"  {name} {error}.\n")
        else:
            pictures.append(picture)
            files[name] = hashlib.sha256(content).hexdigest()
    if unreadable:
        raise DataIntegrityError(
            f"Every image below {root} must be readable. Received: {len(unreadable)} of "
            f"{len(entries)} that are not:\n{''.join(unreadable)}Repair or remove them."
        )
    return pictures, files
