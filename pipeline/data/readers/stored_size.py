"""The size that a folder's images are stored at: as asked for, or as they are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import DataIntegrityError

if TYPE_CHECKING:
    from pipeline.data.readers.sorting import Entry

AUTO: Final = "auto"
ImageSize = int | Literal["auto"]

# What may be asked for, and the most that is chosen unasked: 0.2 MB a colour image, and more than
# most pretrained networks were made for (224).
SMALLEST: Final = 8
LARGEST: Final = 512
LARGEST_AUTO: Final = 256


def stored_size(entries: Sequence[Entry], wanted: ImageSize) -> int:
    """Returns the height and width that images are brought to, pixels.

    For "auto" it is the median of their shorter sides, within 8 to 256: a picture's middle square
    is as large as its shorter side, however EXIF turns it, so that the median image keeps every
    pixel of it. Of an even number it is the lower of the two middle ones. Headers alone are read,
    and not those of the test part: what a model was prepared with must not depend on what it is
    tested on. A file that cannot be read has no say; decoding, which comes next, names them all.
    """
    if wanted != AUTO:
        return wanted
    # The limits above are read where there is no need for NumPy.
    from pipeline.data.images import shorter_side

    sides = []
    for entry in (entry for entry in entries if entry.part != "test"):
        try:
            sides.append(shorter_side(Path(entry.image.real)))
        except DataIntegrityError:
            continue
    side = statistics.median_low(sides or [LARGEST_AUTO])
    return min(max(side, SMALLEST), LARGEST_AUTO)


def why_stored_so(image_size: int) -> str:
    """Says where a size comes from that `stored_size` has chosen for "auto"."""
    if image_size in (SMALLEST, LARGEST_AUTO):
        return f"the {'least' if image_size == SMALLEST else 'most'} that auto chooses"
    return "the median of their shorter sides"
