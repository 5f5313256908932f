"""Reads one image file the one way: what a model was trained on is what `predict` shows it.

Rotated as EXIF says; transparency laid on white; deep gray brought to 8 bits, from the whole range
of its 16 bits or from a range that is given; then the largest centred square is cut out and brought
to size with Pillow's bilinear filter, which averages over all pixels that fall into one
(antialias). Of an animation the first frame counts.
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.data.formats import HEIF_CURE, NUM_BYTES, decoders, kind_of_content
from pipeline.errors import DataIntegrityError

if TYPE_CHECKING:
    from PIL import Image

ValueRange = tuple[float, float]
FORMAT_RANGE: Final[ValueRange] = (0, 65_535)
_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_FLOATS = (
    "its pixels are floating-point numbers, whose range no file states: set fetch.value_range to "
    "two numbers, or save it with 8 bits"
)
_WHITE = (255, 255, 255, 255)
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # A tag of TIFF, and its value.
# What Pillow's decoders raise on damaged files, besides errors of their own.
UNREADABLE = (
    *(OSError, EOFError, struct.error, OverflowError, MemoryError, SyntaxError, ValueError),
    *(TypeError, IndexError, KeyError, AttributeError, RuntimeError),
)
# A JPEG decoder halves an image for a fraction of the work. Never below twice the size wanted, so
# that the filter still averages: `Image.thumbnail` takes the same figure (its `reducing_gap`).
_SPARE_RESOLUTION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What an image file holds, beside its pixels.

    Attributes:
        size: Width and height, upright, pixels.
        is_gray: Whether it is stored as gray.
        is_deep_color: Whether it has 16 bits a colour, of which only the upper 8 are read.
        deep: Lowest and highest value in gray of more than 8 bits; None of any other image.
        num_clipped: Pixels of such gray outside the range that was given.
        num_pages: In the file, of which the first is read; of formats other than TIFF 1.
    """

    size: tuple[int, int]
    is_gray: bool
    is_deep_color: bool
    deep: ValueRange | None
    num_clipped: int
    num_pages: int = 1


def load_image(
    path_or_file: Path | BinaryIO,
    *,
    image_size: int,
    color: Literal["rgb", "gray"],
    value_range: ValueRange | None = None,
) -> NDArray[np.uint8]:
    """Returns an image file as a square of pixels.

    Args:
        path_or_file: A file, or what it holds, opened for reading.
        image_size: Height and width of the result, pixels, >= 1.
        color: "gray" weighs colours as ITU-R 601-2 does: 0.299 R + 0.587 G + 0.114 B.
        value_range: Values that become black and white in gray of more than 8 bits; None: 0 and
            65535, and floating-point pixels are refused.

    Returns:
        uint8, shape (image_size, image_size), with 3 channels behind if `color` is "rgb".

    Raises:
        DataIntegrityError: If it is no image of a known format, is cut short, would take more
            memory than Pillow's limit (89 megapixels), or has pixels without a stated range.
    """
    try:
        pixels, _ = decode_image(path_or_file, image_size=image_size, value_range=value_range)
    except DataIntegrityError as error:
        is_path = isinstance(path_or_file, Path)
        name = path_or_file if is_path else getattr(path_or_file, "name", "the image")
        raise DataIntegrityError(f"{name} {error}.") from None
    return to_gray(pixels) if color == "gray" else pixels


def decode_image(
    path_or_file: Path | BinaryIO, *, image_size: int, value_range: ValueRange | None = None
) -> tuple[NDArray[np.uint8], Picture]:
    """Returns an image file as `load_image` does in colour, and what else the file held.

    Args:
        path_or_file: A file, or what it holds, opened for reading.
        image_size: Height and width of the result, pixels, >= 1.
        value_range: What becomes black and white in gray of more than 8 bits; values outside are
            clipped. None: 0 and 65535, what the format says, and floating-point pixels, of which no
            format says it, are refused. Images of 8 bits are never rescaled.

    Raises:
        DataIntegrityError: As `load_image`; the message starts with a verb, for the caller to name
            the file.
    """
    from PIL import Image

    with _opened(path_or_file) as image:
        full, is_gray = image.size, image.mode in _GRAY_MODES
        is_deep_color = not is_gray and _has_16_bits(image)
        num_pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        spare = _SPARE_RESOLUTION * image_size
        image.draft(None, (spare, spare))
        upright = _upright(image)
        deep, num_clipped = None, 0
        if _is_deep(upright):
            gray, deep, num_clipped = _from_deep(_values(upright, image), value_range)
            upright = Image.fromarray(gray)
        is_turned = (upright.width < upright.height) != (full[0] < full[1])
        return np.asarray(_square(_to_rgb(upright), image_size)), Picture(
            size=(full[1], full[0]) if is_turned else full,
            is_gray=is_gray or deep is not None,
            is_deep_color=is_deep_color,
            deep=deep,
            num_clipped=num_clipped,
            num_pages=num_pages,
        )


def deep_values(path_or_file: Path | BinaryIO) -> ValueRange | None:
    """Returns the lowest and highest value of gray of more than 8 bits; None of any other image.

    Raises:
        DataIntegrityError: As `decode_image`.
    """
    with _opened(path_or_file) as image:
        if not _is_deep(image):
            return None
        values = _values(_upright(image), image)
        if image.mode == "F":
            raise ValueError(_FLOATS)
        return float(values.min()), float(values.max())


def shorter_side(path_or_file: Path | BinaryIO) -> int:
    """Returns the lesser of an image's width and height, pixels; reads no more than its header.

    Raises:
        DataIntegrityError: As `decode_image`, of what the header tells.
    """
    with _opened(path_or_file) as image:
        return min(image.size)


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the luma of RGB pixels, shape (h, w, 3) -> (h, w); exact where R = G = B."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L"))


@contextmanager
def _opened(path_or_file: Path | BinaryIO) -> Iterator["Image.Image"]:
    """Opens an image; whatever is wrong with it, in the block too, is a DataIntegrityError."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Other warnings are of odd metadata; pixels that cannot be decoded raise. But Pillow
            # only warns of an image of one to two times its limit.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path_or_file, formats=decoders()) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataIntegrityError(
            f"is too large to be opened safely, make it smaller: {error}"
        ) from None
    except UNREADABLE as error:
        is_unknown = "cannot identify" in str(error)
        reason = _unknown_format(path_or_file) if is_unknown else str(error)
        reason = reason or type(error).__name__
        raise DataIntegrityError(f"cannot be read as an image: {reason.rstrip('.')}") from None


def _unknown_format(path_or_file: Path | BinaryIO) -> str:
    if isinstance(path_or_file, Path):
        with path_or_file.open("rb") as stream:
            beginning = stream.read(NUM_BYTES)
    else:
        path_or_file.seek(0)
        beginning = path_or_file.read(NUM_BYTES)
    if kind_of_content(beginning, is_named=True) == "HEIF":
        return f"it is HEIC, which needs pillow-heif: {HEIF_CURE}"
    return "no image of a known format"


def _upright(image: "Image.Image") -> "Image.Image":
    from PIL import ImageOps

    image.load()
    return ImageOps.exif_transpose(image)


def _is_deep(image: "Image.Image") -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _values(upright: "Image.Image", image: "Image.Image") -> NDArray[Any]:
    """Returns deep pixels, black the lowest; Pillow inverts a TIFF's white-is-zero up to 8 bits.

    Args:
        upright: Its pixels.
        image: The same image as it was opened, with its tags.
    """
    values = np.asarray(upright)
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode.startswith("I;16"):
        return FORMAT_RANGE[1] - values
    return values


def _has_16_bits(image: "Image.Image") -> bool:
    # Pillow has no colour mode of 16 bits: what it reads such a file as is all that tells.
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _from_deep(
    values: NDArray[Any], value_range: ValueRange | None
) -> tuple[NDArray[np.uint8], ValueRange, int]:
    if values.dtype.kind == "f" and value_range is None:
        raise ValueError(_FLOATS)
    lowest, highest = float(values.min()), float(values.max())
    if not np.isfinite([lowest, highest]).all():
        raise ValueError("its pixels must be finite numbers, and some are not")
    if value_range is None and (lowest < FORMAT_RANGE[0] or highest > FORMAT_RANGE[1]):
        raise ValueError(
            f"its pixels are {lowest:g} to {highest:g}, where 0 to 65535 is expected: set "
            "fetch.value_range to data, or to two numbers"
        )
    low, high = value_range or FORMAT_RANGE
    clipped = np.clip(values.astype(np.float64), low, high)
    num_clipped = int(np.count_nonzero((values < low) | (values > high)))
    gray = np.round((clipped - low) * (255 / (high - low))).astype(np.uint8)
    return gray, (lowest, highest), num_clipped


def _to_rgb(upright: "Image.Image") -> "Image.Image":
    from PIL import Image

    if not upright.has_transparency_data:
        return upright.convert("RGB")
    page = Image.new("RGBA", upright.size, _WHITE)
    return Image.alpha_composite(page, upright.convert("RGBA")).convert("RGB")


def _square(image: "Image.Image", image_size: int) -> "Image.Image":
    from PIL import Image, ImageOps

    # Cut, not squashed: a stretched object has another shape than the base model ever saw.
    return ImageOps.fit(image, (image_size, image_size), method=Image.Resampling.BILINEAR)
