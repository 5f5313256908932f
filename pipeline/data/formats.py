"""Which files are pictures, by name and by their first bytes; what can be decoded, and stored."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

# Formats that Pillow decodes by itself. Others would start programs (EPS) or are no photographs.
FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
EXTENSIONS: Final = frozenset(
    {".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm"}
    | {".ppm", ".tif", ".tiff", ".webp"}
)
# Formats that need more than Pillow's core, by suffix.
OPTIONAL_EXTENSIONS: Final = {".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".avif": "AVIF"}
HEIF_CURE: Final = 'pip install -e ".[heif]"'
# Pictures of other kinds: cameras' raw files (whose TIFF is a thumbnail), scans, drawings.
OTHER_PICTURES: Final = frozenset(
    {".3fr", ".ai", ".arw", ".cr2", ".cr3", ".crw", ".dcm", ".dng", ".eps", ".exr", ".fits"}
    | {".hdr", ".ico", ".j2k", ".jp2", ".jpx", ".jxl", ".jxr", ".mrw", ".nef", ".nii", ".nrw"}
    | {".orf", ".pef", ".psd", ".qoi", ".raf", ".raw", ".rw2", ".sr2", ".srw", ".svg", ".svs"}
    | {".tga", ".x3f", ".xcf"}
)
_BEGINNINGS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_TIFF_BEGINNINGS: Final = (b"II*\0", b"MM\0*")
_BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "HEIF"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
NUM_BYTES: Final = 16
# What images are brought to, pixels of a side. What may be asked for, and the most that is chosen
# unasked: 0.2 MB a colour image, and more than most pretrained networks were made for (224).
ImageSize = int | Literal["auto"]
SMALLEST: Final = 8
LARGEST: Final = 512
LARGEST_AUTO: Final = 256


def picture_kind(path: Path) -> str:
    """Says what a regular file is: `image`, `HEIF` or `AVIF` without a decoder, `other`, `none`.

    `other` is a picture of a format that is not read. Only where the suffix is no image's are 16
    bytes of the file read. One that cannot be opened is what its name says: whoever decodes it
    names the problem.
    """
    suffix = path.suffix.lower()
    if suffix in EXTENSIONS:
        return "image"
    if suffix in OTHER_PICTURES:
        return "other"
    try:
        with path.open("rb") as stream:
            beginning = stream.read(NUM_BYTES)
    except OSError:
        beginning = b""
    found = kind_of_content(beginning, is_named=bool(suffix))
    if found == "none":
        found = OPTIONAL_EXTENSIONS.get(suffix, "none")
    return "image" if found in decoders() else found


def kind_of_content(beginning: bytes, *, is_named: bool) -> str:
    """Says what a file is by its first 16 bytes: `image`, `HEIF`, `AVIF`, or `none` of these.

    Of a file that has a suffix, TIFF does not count: raw files of many cameras begin like that and
    hold a thumbnail.
    """
    is_webp = beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP"
    is_tiff = not is_named and beginning.startswith(_TIFF_BEGINNINGS)
    if beginning.startswith(_BEGINNINGS) or is_webp or is_tiff:
        return "image"
    return _BRANDS.get(beginning[8:12], "none") if beginning[4:8] == b"ftyp" else "none"


def looks_like_picture(name: str) -> bool:
    """Whether a file's name is that of a picture of any kind."""
    suffix = Path(name).suffix.lower()
    return suffix in EXTENSIONS or suffix in OPTIONAL_EXTENSIONS or suffix in OTHER_PICTURES


@lru_cache(maxsize=1)
def decoders() -> tuple[str, ...]:
    """Returns Pillow's names of all formats that can be decoded here.

    AVIF is in most builds of Pillow from 11.3 on; HEIC comes with the extra `heif`.
    """
    from PIL import features

    has_avif = features.check("avif")
    has_heif = importlib.util.find_spec("pillow_heif") is not None
    if has_heif:
        import pillow_heif

        pillow_heif.register_heif_opener()
    return (*FORMATS, *(("AVIF",) if has_avif else ()), *(("HEIF",) if has_heif else ()))
