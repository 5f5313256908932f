"""What a folder's pixels are brought to, where they lie, what they were, and what that has cost."""

import logging
import math
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.data.formats import LARGEST, LARGEST_AUTO, SMALLEST, ImageSize
from pipeline.data.images import FORMAT_RANGE, Picture, ValueRange, deep_values, shorter_side
from pipeline.data.readers.sorting import Entry
from pipeline.errors import ConfigError, DataIntegrityError

logger = logging.getLogger(__name__)

_GRAY_LEVELS: Final = 256
# Images that are shrunk or enlarged by more than this lose what they show, or only cost time.
_MOST_SCALED: Final = 2


def stored_size(entries: Sequence[Entry], wanted: ImageSize) -> int:
    """Returns the height and width that images are brought to, pixels.

    For "auto" it is the median of their shorter sides, within 8 to 256: a picture's middle square
    is as large as its shorter side, however EXIF turns it, so that the median image keeps every
    pixel of it. Of an even number it is the lower of the two middle ones. Headers alone are read.
    A file that cannot be read has no say; decoding, which comes next, names them all.
    """
    if wanted != "auto":
        return wanted
    sides = []
    for entry in _prepared_by(entries):
        try:
            sides.append(shorter_side(Path(entry.image.real)))
        except DataIntegrityError:
            continue
    side = statistics.median_low(sides or [LARGEST_AUTO])
    return min(max(side, SMALLEST), LARGEST_AUTO)


def resolve_range(
    entries: Sequence[Entry], wanted: Literal["format", "data"] | ValueRange
) -> ValueRange | None:
    """Returns what becomes black and white in gray of more than 8 bits; None: what formats say.

    For "data", every such image but those of the test part is read once for its values alone.

    Raises:
        DataIntegrityError: If "data" is wanted and all values are the same, or a file cannot be
            read.
    """
    if wanted == "format":
        return None
    if wanted != "data":
        return wanted
    ranges = []
    for entry in _prepared_by(entries):
        try:
            ranges.append(deep_values(Path(entry.image.real)))
        except DataIntegrityError as error:
            raise DataIntegrityError(f"{entry.image.name} {error}.") from None
    found = [values for values in ranges if values is not None]
    if not found:
        return None
    low, high = min(low for low, _ in found), max(high for _, high in found)
    if low == high:
        raise DataIntegrityError(
            "fetch.value_range: data needs values that differ. "
            f"Received: {_number(low)} in all pixels of {len(found)} images."
        )
    return low, high


def _prepared_by(entries: Sequence[Entry]) -> Iterator[Entry]:
    # What a model was prepared with must not depend on what it is tested on.
    return (entry for entry in entries if entry.part != "test")


def pixels_on_disk(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    """Returns an array of zeros in a file without a name, which is gone with the array.

    So the pixels of many images need not fit into memory.

    Args:
        shape: Number of images, height, width, and channels if there are any.
        folder: Where the file lies; made if it is missing.

    Raises:
        ConfigError: If the disk is too small for the array and for what is saved of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * math.prod(shape), shutil.disk_usage(folder).free
    if needed > free:
        # A page that cannot be written would end the process without a word.
        raise ConfigError(
            f"{folder} needs {needed / 1e9:,.2f} GB of free disk space for {shape[0]} images of "
            f"{shape[2]}x{shape[1]} pixels. Received: {free / 1e9:,.2f} GB. Free some space, or "
            "lower fetch.image_size."
        )
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def range_in_use(pictures: Sequence[Picture], given: ValueRange | None) -> ValueRange | None:
    """Returns what became black and white; None if no image has more than 8 bits."""
    if not any(picture.deep for picture in pictures):
        return None
    low, high = given or FORMAT_RANGE
    # Whole numbers are shown as such, in the manifest and wherever it is read.
    return (int(low), int(high)) if int(low) == low and int(high) == high else (low, high)


def log_pixels(
    where: str,
    pictures: Sequence[Picture],
    *,
    image_size: int,
    is_auto: bool,
    value_range: ValueRange | None,
) -> None:
    """Says what the files held, and warns of what is lost.

    Args:
        where: Name of the folder that was read, for messages.
        pictures: What each file held, at least one.
        image_size: What images were brought to, pixels.
        is_auto: Whether `stored_size` chose that, which takes care of what is lost.
        value_range: What was given as black and white.
    """
    _log_size(where, pictures, image_size, is_auto=is_auto)
    _log_values(where, pictures, value_range)
    _log_pages(where, pictures)
    if num_deep_color := sum(picture.is_deep_color for picture in pictures):
        logger.warning(
            "WARNING: %s: %d images have 16 bits a colour, of which the upper 8 are read, "
            "whatever fetch.value_range says. Save them as gray, or with 8 bits",
            *(where, num_deep_color),
        )


def _log_pages(where: str, pictures: Sequence[Picture]) -> None:
    if num_stacks := sum(picture.num_pages > 1 for picture in pictures):
        logger.warning(
            "WARNING: %s: %d TIFF files have several pages, of which the first alone is read. Save "
            "the others as files of their own, if they are to be learned from",
            *(where, num_stacks),
        )


def _log_size(where: str, pictures: Sequence[Picture], image_size: int, *, is_auto: bool) -> None:
    sizes = [picture.size for picture in pictures]
    sides, longer = np.min(sizes, axis=1), np.max(sizes, axis=1)
    side, cut = float(np.median(sides)), float(np.median(1 - sides / longer))
    scaled = {"shrunk": (sides > image_size).sum(), "enlarged": (sides < image_size).sum()}
    said = [f"{count} of {len(sides)} are {what}" for what, count in scaled.items() if count]
    said += [f"{100 * cut:.0f}% of the median image's pixels are cut off"] if cut else []
    said += ["fetch.image_size sets another size"] if is_auto else []
    logger.info(
        "%s: images are %.0fx%.0f pixels (median; %dx%d to %dx%d): their middle square is brought "
        "to %dx%d%s",
        *(where, *np.median(sizes, axis=0), *min(sizes), *max(sizes), image_size, image_size),
        "; ".join([f", {_why(image_size)}" if is_auto else "", *said]),
    )
    if is_auto:
        return
    if side > _MOST_SCALED * image_size and image_size < LARGEST:
        logger.warning(
            "WARNING: %s: images are shrunk %.1f times, and what is small in them is lost. "
            "Set fetch.image_size: auto, or raise it, at most to %.0f",
            *(where, side / image_size, min(side, LARGEST)),
        )
    if image_size > _MOST_SCALED * side:
        logger.warning(
            "WARNING: %s: images are enlarged %.1f times, which costs time and shows nothing "
            "more. Set fetch.image_size: auto, or lower it, to %.0f",
            *(where, image_size / side, max(side, SMALLEST)),
        )


def _why(image_size: int) -> str:
    if image_size in (SMALLEST, LARGEST_AUTO):
        return f"the {'least' if image_size == SMALLEST else 'most'} that auto chooses"
    return "the median of their shorter sides"


def _log_values(where: str, pictures: Sequence[Picture], value_range: ValueRange | None) -> None:
    deep = [picture.deep for picture in pictures if picture.deep]
    if not deep:
        if value_range is not None:
            logger.warning(
                "WARNING: %s: fetch.value_range changes nothing: no image is gray of more than "
                "8 bits, and others are never rescaled",
                where,
            )
        return
    low, high = value_range or FORMAT_RANGE
    lowest, highest = min(low for low, _ in deep), max(high for _, high in deep)
    shown = min(highest, high) - max(lowest, low)
    levels = min(_GRAY_LEVELS, 1 + round((_GRAY_LEVELS - 1) * max(shown, 0) / (high - low)))
    text = (
        f"{where}: pixels of {len(deep)} images have more than 8 bits, values "
        f"{_number(lowest)} to {_number(highest)}: with {_number(low)} as black and "
        f"{_number(high)} as white, {levels} of {_GRAY_LEVELS} gray levels are used"
    )
    if clipped := [picture.num_clipped for picture in pictures if picture.num_clipped]:
        text += f"; {sum(clipped)} pixels of {len(clipped)} images lie outside and are clipped"
    if levels < _GRAY_LEVELS / 2:
        # The highest value of as many bits as hold `highest`.
        most = 2 ** math.ceil(math.log2(max(highest, 0) + 1)) - 1
        logger.warning("WARNING: %s. Set fetch.value_range: data, or [0, %d]", text, most)
    else:
        logger.info("%s", text)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"
