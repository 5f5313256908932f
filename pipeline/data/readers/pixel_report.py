"""What a folder's pixels were before they were read, and what reading them has cost."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np

from pipeline.data.images import FORMAT_RANGE, Decoded, ValueRange, deep_values
from pipeline.data.readers.sorting import Entry
from pipeline.data.readers.stored_size import LARGEST, SMALLEST, why_stored_so
from pipeline.errors import DataIntegrityError

logger = logging.getLogger(__name__)

_GRAY_LEVELS: Final = 256
# Images that are shrunk or enlarged by more than this lose what they show, or only cost time.
_MOST_SCALED: Final = 2


def resolve_range(
    entries: Sequence[Entry], wanted: Literal["format", "data"] | ValueRange
) -> ValueRange | None:
    """Returns what becomes black and white in gray of more than 8 bits; None: what formats say.

    For "data", every such image but those of the test part is read once for its values alone: what
    a model was prepared with must not depend on what it is tested on.

    Raises:
        DataIntegrityError: If "data" is wanted and all values are the same, or a file cannot be
            read.
    """
    if wanted == "format":
        return None
    if wanted != "data":
        return wanted
    lows, highs = [], []
    for entry in (entry for entry in entries if entry.part != "test"):
        try:
            values = deep_values(Path(entry.image.real))
        except DataIntegrityError as error:
            raise DataIntegrityError(f"{entry.image.name} {error}.") from None
        if values is not None:
            lows.append(values[0])
            highs.append(values[1])
    if not lows:
        return None
    if min(lows) == max(highs):
        raise DataIntegrityError(
            "fetch.value_range: data needs values that differ. "
            f"Received: {_number(lows[0])} in all pixels of {len(lows)} images."
        )
    return min(lows), max(highs)


@dataclass(kw_only=True)
class PixelReport:
    """Sizes and values of the files that were decoded.

    Attributes:
        sizes: Width and height of each, pixels.
        lows: Lowest value of each image of more than 8 bits.
        highs: Highest value of each.
        num_clipped: Pixels outside the range that was given.
        num_with_clipped: Images that have some.
        num_deep_color: Images of 16 bits a colour.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    num_clipped: int = 0
    num_with_clipped: int = 0
    num_deep_color: int = 0

    def add(self, decoded: Decoded) -> None:
        """Takes in an image."""
        self.sizes.append(decoded.size)
        self.num_deep_color += decoded.is_deep_color
        if decoded.deep is not None:
            self.lows.append(decoded.deep.low)
            self.highs.append(decoded.deep.high)
            self.num_clipped += decoded.deep.num_clipped
            self.num_with_clipped += decoded.deep.num_clipped > 0

    def range_in_use(self, given: ValueRange | None) -> ValueRange | None:
        """Returns what became black and white; None if no image has more than 8 bits."""
        low, high = given or FORMAT_RANGE
        # Whole numbers are shown as such, in the manifest and wherever it is read.
        whole = int(low) == low and int(high) == high
        return ((int(low), int(high)) if whole else (low, high)) if self.lows else None

    def log(
        self, where: str, *, image_size: int, is_auto: bool, value_range: ValueRange | None
    ) -> None:
        """Says what the files held, and warns of what is lost.

        Args:
            where: Name of the folder that was read, for messages.
            image_size: What images were brought to, pixels.
            is_auto: Whether `stored_size` chose that, which takes care of what is lost.
            value_range: What was given as black and white.
        """
        self._log_size(where, image_size, is_auto=is_auto)
        self._log_values(where, value_range)
        if self.num_deep_color:
            logger.warning(
                "WARNING: %s: %d images have 16 bits a colour, of which the upper 8 are read, "
                "whatever fetch.value_range says. Save them as gray, or with 8 bits",
                *(where, self.num_deep_color),
            )

    def _log_size(self, where: str, image_size: int, *, is_auto: bool) -> None:
        widths, heights = zip(*self.sizes, strict=True)
        sides = np.minimum(widths, heights)
        side, cut = (
            float(np.median(sides)),
            float(np.median(1 - sides / np.maximum(widths, heights))),
        )
        scaled = {
            "shrunk": int((sides > image_size).sum()),
            "enlarged": int((sides < image_size).sum()),
        }
        counts = [f"{count} of {len(sides)} are {what}" for what, count in scaled.items() if count]
        lost = [f"{100 * cut:.0f}% of the median image's pixels are cut off"] if cut else []
        reason = f", {why_stored_so(image_size)}" if is_auto else ""
        sets = ["fetch.image_size sets another size"] if is_auto else []
        logger.info(
            "%s: images are %.0fx%.0f pixels (median; %s to %s): their middle square is brought to "
            "%dx%d%s",
            *(where, np.median(widths), np.median(heights)),
            *(_size(min(self.sizes)), _size(max(self.sizes)), image_size, image_size),
            "; ".join([reason, *counts, *lost, *sets]),
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

    def _log_values(self, where: str, value_range: ValueRange | None) -> None:
        if not self.lows:
            if value_range is not None:
                logger.warning(
                    "WARNING: %s: fetch.value_range changes nothing: no image is gray of more than "
                    "8 bits, and others are never rescaled",
                    where,
                )
            return
        low, high = value_range or FORMAT_RANGE
        lowest, highest = min(self.lows), max(self.highs)
        shown = min(highest, high) - max(lowest, low)
        levels = min(_GRAY_LEVELS, 1 + round((_GRAY_LEVELS - 1) * max(shown, 0) / (high - low)))
        text = (
            f"{where}: pixels of {len(self.lows)} images have more than 8 bits, values "
            f"{_number(lowest)} to {_number(highest)}: with {_number(low)} as black and "
            f"{_number(high)} as white, {levels} of {_GRAY_LEVELS} gray levels are used"
        )
        if self.num_clipped:
            text += (
                f"; {self.num_clipped} pixels of {self.num_with_clipped} images lie outside and "
                "are clipped"
            )
        if levels < _GRAY_LEVELS / 2:
            cure = f"Set fetch.value_range: data, or [0, {_number(_next_power(highest))}]"
            logger.warning("WARNING: %s. %s", text, cure)
        else:
            logger.info("%s", text)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _next_power(highest: float) -> float:
    """Returns the highest value of as many bits as hold `highest`."""
    power = 1.0
    while power - 1 < highest:
        power *= 2
    return power - 1
