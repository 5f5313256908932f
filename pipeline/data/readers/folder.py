"""Reads a folder of one's own images: classes by folders or by a table."""

import hashlib
import io
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.data.images import ValueRange, decode_image, to_gray
from pipeline.data.labelled import LabelledImages
from pipeline.data.readers.class_folders import EXPECTED
from pipeline.data.readers.layout import Parts, lay_out
from pipeline.data.readers.left_out import LeftOut
from pipeline.data.readers.pixel_report import PixelReport, resolve_range
from pipeline.data.readers.scratch import pixels_on_disk
from pipeline.data.readers.sorting import Entry, Layout
from pipeline.data.readers.stored_size import AUTO, ImageSize, stored_size
from pipeline.data.readers.table import TableChoice, lay_out_table
from pipeline.data.readers.tree import read_tree
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Which files are used, and why the others are not; nothing is decoded yet.

    Attributes:
        layout: The images that are used, and what was taken for what.
        class_names: In the order of their numbers.
        left_out: All other files below the folder, by reason.
        table: The table of labels, below the folder, if one is used.
    """

    layout: Layout
    class_names: tuple[str, ...]
    left_out: LeftOut
    table: str | None


def find_images(root: Path, *, parts: Parts, labels: TableChoice | None) -> Found:
    """Decides of every file below `root` whether it is used; opens none but the table.

    Args:
        root: Folder of images, such as `data/own`.
        parts: Which folders are parts: `auto`: by their names; `none`: all are classes; or the
            folder of each part.
        labels: The table of labels; None: folders are classes.

    Raises:
        ConfigError: If there is no such folder, table or column.
        DataIntegrityError: If it holds no classes, or what its folders or rows mean is not certain.
    """
    if not root.is_dir():
        raise ConfigError(
            f"fetch.path must be a folder with {EXPECTED}. Received: fetch.path={str(root)!r}, "
            "which is not there."
        )
    tree = read_tree(root)
    left_out = tree.left_out
    if labels is not None:
        layout, class_names = lay_out_table(tree, labels, left_out)
        left_out.take_back(labels.file)
    else:
        layout = lay_out(tree.top, parts=parts, left_out=left_out)
        class_names = tuple(sorted({entry.class_name for entry in layout.entries}))
    num_used = len(layout.entries) + (labels is not None)
    if num_used + left_out.total() != tree.num_files:
        # No user can mend this: a file was lost on the way, or taken twice.
        raise RuntimeError(f"{num_used} used, {left_out.total()} left out of {tree.num_files}")
    return Found(
        layout=layout,
        class_names=class_names,
        left_out=left_out,
        table=labels.file if labels else None,
    )


def read_folder(
    root: Path,
    *,
    scratch: Path,
    image_size: ImageSize,
    color: Literal["auto", "rgb", "gray"],
    parts: Parts = "auto",
    labels: TableChoice | None = None,
    value_range: Literal["format", "data"] | ValueRange = "format",
) -> LabelledImages:
    """Reads the images below `root`, in the order of part, class and path.

    Below a class, deeper folders belong to it. Every other file is counted under a reason.

    Args:
        root: Folder of images, such as `data/own`.
        scratch: Folder for the pixels until they are saved; see `pixels_on_disk`.
        image_size: Height and width that images are brought to, pixels; `images` says how. "auto":
            what `stored_size` makes of the images.
        color: "rgb", "gray", or "auto": gray if every file is stored as gray.
        parts: Which folders are parts: `auto`: by their names; `none`: all are classes; or the
            folder of each part.
        labels: The table of labels; None: folders are classes.
        value_range: What becomes black and white in gray of more than 8 bits: two values, "format":
            0 and 65535, or "data": the lowest and highest of all such images but the test part's.

    Raises:
        ConfigError: If there is no such folder, table or column, or the disk is too small.
        DataIntegrityError: If it holds no classes, or what its folders or rows mean is not certain,
            or a file cannot be read. All such files are named.
    """
    found = find_images(root, parts=parts, labels=labels)
    entries = found.layout.entries
    logger.info("%s: %s", root, found.layout.text)
    found.left_out.log(str(root), num_used=len(entries))
    num_linked = sum(entry.image.is_linked for entry in entries)
    if num_linked:
        # DVC 3.67 does not go into folders that are links.
        logger.info(
            "%s: %d images are reached by links. DVC does not see changes behind them: "
            "run `dvc repro -f fetch` after one",
            *(root, num_linked),
        )
    given = resolve_range(entries, value_range)
    side = stored_size(entries, image_size)
    reading = _Reading(pixels=pixels_on_disk((len(entries), side, side, 3), scratch))
    _decode_all(entries, root, reading, value_range=given)
    is_auto = image_size == AUTO
    reading.report.log(str(root), image_size=side, is_auto=is_auto, value_range=given)
    is_gray = color == "gray" or (color == "auto" and reading.all_gray)
    pixels = reading.pixels
    numbers = {name: number for number, name in enumerate(found.class_names)}
    table = {found.table: sha256_file(root / found.table)} if found.table else {}
    return LabelledImages(
        images=_all_to_gray(pixels, scratch) if is_gray else pixels,
        labels=np.array([numbers[entry.class_name] for entry in entries], np.int64),
        parts=np.array([entry.part for entry in entries], "<U5"),
        class_names=found.class_names,
        files={**reading.files, **table},
        left_out=found.left_out.counts(),
        layout=found.layout.described,
        value_range=reading.report.range_in_use(given),
    )


@dataclass(kw_only=True)
class _Reading:
    """What was decoded so far.

    Attributes:
        pixels: RGB, uint8, shape (n, image_size, image_size, 3).
        report: Sizes and values of the files' own pixels.
        files: Hashes of the files by name.
        all_gray: Whether every file is stored as gray.
        unreadable: What is wrong with files that are no images.
    """

    pixels: NDArray[np.uint8]
    report: PixelReport = field(default_factory=PixelReport)
    files: dict[str, str] = field(default_factory=dict)
    all_gray: bool = True
    unreadable: list[str] = field(default_factory=list)


def _all_to_gray(pixels: NDArray[np.uint8], scratch: Path) -> NDArray[np.uint8]:
    grays = pixels_on_disk(pixels.shape[:3], scratch)
    for index, image in enumerate(pixels):
        grays[index] = to_gray(image)
    return grays


def _decode_all(
    entries: Sequence[Entry], root: Path, reading: _Reading, *, value_range: ValueRange | None
) -> None:
    image_size = reading.pixels.shape[1]
    for index, entry in enumerate(
        tqdm(entries, desc=root.name, unit="image", file=sys.stderr, disable=None)
    ):
        name = entry.image.name
        try:
            content = Path(entry.image.real).read_bytes()
            decoded = decode_image(
                io.BytesIO(content), image_size=image_size, value_range=value_range
            )
        except OSError as error:
            reading.unreadable.append(f"{name} cannot be opened: {error.strerror}")
        except DataIntegrityError as error:
            reading.unreadable.append(f"{name} {error}")
        else:
            reading.pixels[index] = decoded.pixels
            reading.report.add(decoded)
            reading.all_gray = reading.all_gray and decoded.is_gray
            reading.files[name] = hashlib.sha256(content).hexdigest()
    if reading.unreadable:
        raise DataIntegrityError(_all_unreadable(root, reading.unreadable, num_images=len(entries)))


def _all_unreadable(root: Path, unreadable: list[str], *, num_images: int) -> str:
    lines = "\n".join(f"  {line}." for line in unreadable)
    return (
        f"Every image below {root} must be readable. Received: {len(unreadable)} of {num_images} "
        f"that are not:\n{lines}\nRepair or remove them."
    )
