"""Thumbnails of the images that pages show, and sheets of them that a person can open."""

import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.files import write_whole
from pipeline.review.record import ReviewedImage, ReviewRecord

MOST_SIDE: Final = 96
"""Pixels of a thumbnail, as wide as it is shown."""
_LARGEST_PNG: Final = 64
"""Pixels: what is larger is compressed as WebP, 3 KB instead of 18 KB for a photograph."""
_QUALITY: Final = 80
_ACROSS: Final = 8
_GAP: Final = 8
_LINE: Final = 12
_CHARACTERS: Final = 17
"""Of Pillow's own font, that fit below a thumbnail."""

Tiles = Mapping[int, bytes]


def make_tile(image: NDArray[np.uint8]) -> bytes:
    """Returns an image of at most 96 pixels a side as a file: PNG up to 64, WebP above.

    Args:
        image: uint8, shape (h, w) or (h, w, 3).
    """
    picture, stream = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((MOST_SIDE, MOST_SIDE))
    if max(picture.size) <= _LARGEST_PNG:
        picture.save(stream, format="PNG", optimize=True)
    else:
        picture.save(stream, format="WEBP", quality=_QUALITY)
    return stream.getvalue()


def write_tiles(tiles: Tiles, folder: Path) -> None:
    """Writes each tile as INDEX.png or INDEX.webp to a folder that held others before."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for index, content in tiles.items():
        suffix = "png" if content.startswith(b"\x89PNG") else "webp"
        with write_whole(folder / f"{index}.{suffix}") as part:
            part.write_bytes(content)


def write_sheets(
    record: ReviewRecord, tiles: Tiles, class_names: Sequence[str], folder: Path
) -> None:
    """Writes `suspicious-labels.png`, `near-duplicates.png` and `confused-classes.png`.

    A kind of which there is nothing has no sheet.

    Args:
        record: What is shown.
        tiles: Of every image of `record.shown()`, by index.
        class_names: By class id.
        folder: Is made.
    """

    def labelled(one: ReviewedImage) -> list[str]:
        name = one.file.rpartition("/")[2] if one.file else f"image {one.index}"
        return [f"{name}", f"label {class_names[one.label]}"]

    suspicious = [
        (one.index, [*labelled(one), f"{class_names[one.likely]} {one.likely_confidence:.0%}"])
        for one in record.suspicious
    ]
    pairs = [
        (one.index, [*labelled(one), one.part])
        for pair in record.pairs
        for one in (pair.first, pair.second)
    ]
    confused = [
        (one.index, [*labelled(one), f"as {class_names[pair.predicted]}"])
        for pair in record.confused
        for one in pair.examples
    ]
    for name, cells in (
        ("suspicious-labels", suspicious),
        ("near-duplicates", pairs),
        ("confused-classes", confused),
    ):
        if cells:
            sheet = _sheet([(tiles[index], lines) for index, lines in cells])
            with write_whole(folder / f"{name}.png") as part:
                sheet.save(part, optimize=True)


def _sheet(cells: Iterable[tuple[bytes, Sequence[str]]]) -> Image.Image:
    """Draws tiles in rows of eight, with three lines of text below each."""
    cells = list(cells)
    width, height = MOST_SIDE + _GAP, MOST_SIDE + 3 * _LINE + _GAP
    columns = min(_ACROSS, len(cells))
    sheet = Image.new("RGB", (columns * width, -(-len(cells) // columns) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (content, lines) in enumerate(cells):
        x, y = number % columns * width + _GAP // 2, number // columns * height + _GAP // 2
        with Image.open(io.BytesIO(content)) as tile:
            scale = max(MOST_SIDE // max(tile.size), 1)
            size = (tile.width * scale, tile.height * scale)
            sheet.paste(tile.convert("RGB").resize(size, Image.Resampling.NEAREST), (x, y))
        for place, line in enumerate(lines):
            # The font has Latin letters alone; others would stop it.
            text = line.encode("latin-1", "replace").decode("latin-1")
            text = text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 2]}.."
            draw.text((x, y + MOST_SIDE + place * _LINE), text, fill="black")
    return sheet
