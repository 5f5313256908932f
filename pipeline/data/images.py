"""Reads one image file the one way: what a model was trained on is what `predict` shows it.

Rotated as EXIF says; transparency laid on white; 16-bit gray divided by 257; then the largest
centred square is cut out and brought to size with Pillow's bilinear filter, which averages over all
pixels that fall into one (antialias). Of an animation the first frame counts.
"""

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError

if TYPE_CHECKING:
    from PIL import Image

# Formats that Pillow decodes by itself. Others would start programs (EPS) or are no photographs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_WHITE = (255, 255, 255, 255)
# What Pillow's decoders raise on damaged files, besides errors of their own.
UNREADABLE = (
    *(OSError, EOFError, struct.error, OverflowError, MemoryError, SyntaxError, ValueError),
    *(TypeError, IndexError, KeyError, AttributeError),
)
# A JPEG decoder halves an image for a fraction of the work. Never below twice the size wanted, so
# that the filter still averages: `Image.thumbnail` takes the same figure (its `reducing_gap`).
_SPARE_RESOLUTION = 2


def load_image(
    path_or_file: Path | BinaryIO, *, image_size: int, color: Literal["rgb", "gray"]
) -> NDArray[np.uint8]:
    """Returns an image file as a square of pixels.

    Args:
        path_or_file: A file, or what it holds, opened for reading.
        image_size: Height and width of the result, pixels, >= 1.
        color: "gray" weighs colours as ITU-R 601-2 does: 0.299 R + 0.587 G + 0.114 B.

    Returns:
        uint8, shape (image_size, image_size), with 3 channels behind if `color` is "rgb".

    Raises:
        DataIntegrityError: If it is no image of a known format, is cut short, would take more
            memory than Pillow's limit (89 megapixels), or has pixels without a stated range.
    """
    try:
        pixels, _ = decode_image(path_or_file, image_size=image_size)
    except DataIntegrityError as error:
        is_path = isinstance(path_or_file, Path)
        name = path_or_file if is_path else getattr(path_or_file, "name", "the image")
        raise DataIntegrityError(f"{name} {error}.") from None
    return to_gray(pixels) if color == "gray" else pixels


def decode_image(
    path_or_file: Path | BinaryIO, *, image_size: int
) -> tuple[NDArray[np.uint8], bool]:
    """Like `load_image` in colour; also says whether the file is stored as gray.

    Raises:
        DataIntegrityError: As `load_image`; the message starts with a verb, for the caller to name
            the file.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Other warnings are of odd metadata; pixels that cannot be decoded raise. But Pillow
            # only warns of an image of one to two times its limit.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path_or_file, formats=FORMATS) as image:
                spare = _SPARE_RESOLUTION * image_size
                image.draft(None, (spare, spare))
                is_gray = image.mode in _GRAY_MODES
                return np.asarray(_square(_to_rgb(image), image_size)), is_gray
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataIntegrityError(f"is too large to be opened safely: {error}") from None
    except UNREADABLE as error:
        reason = "no image of a known format" if "cannot identify" in str(error) else str(error)
        reason = reason or type(error).__name__
        raise DataIntegrityError(f"cannot be read as an image: {reason.rstrip('.')}") from None


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the luma of RGB pixels, shape (h, w, 3) -> (h, w); exact where R = G = B."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L"))


def _to_rgb(image: "Image.Image") -> "Image.Image":
    from PIL import Image, ImageOps

    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return _from_16_bit(upright).convert("RGB")
    if upright.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 bits")
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    page = Image.new("RGBA", upright.size, _WHITE)
    return Image.alpha_composite(page, upright.convert("RGBA")).convert("RGB")


def _from_16_bit(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65_535:
        raise ValueError("its pixels have more than 16 bits; save it with 8 or 16")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _square(image: "Image.Image", image_size: int) -> "Image.Image":
    from PIL import Image, ImageOps

    # Cut, not squashed: a stretched object has another shape than the base model ever saw.
    return ImageOps.fit(image, (image_size, image_size), method=Image.Resampling.BILINEAR)
