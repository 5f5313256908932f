"""Shows the cut points of a base, and which of them `embed` would keep.

Run: python -m pipeline cuts [BASE] [--image-size PIXELS]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import load_section
from pipeline.data.rows import row_shape
from pipeline.models.bases import BASES, load_base
from pipeline.models.cuts import Cut, default_cuts, find_cuts, named_cuts
from pipeline.models.params import EmbedParams

TRAIN_FILE = Path("data/train.npz")
# Fashion-MNIST without its test part: what sizes are reckoned for before `split` has run.
TYPICAL_NUM_IMAGES = 60_000
TYPICAL_IMAGE_SIZE = 96
HEADERS = ("cut", "shape", "parameters below", "above", "bytes/image", "embed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the base and the size of its images."""
    parser.add_argument(
        "base", nargs="?", metavar="BASE", help=f"one of {', '.join(BASES)}; else those of embed"
    )
    parser.add_argument(
        "--image-size", type=int, metavar="PIXELS", help="else that of embed, or 96"
    )


def main(args: argparse.Namespace) -> int:
    """Prints a table for the base, or for each base of params.yaml.

    Raises:
        ConfigError: If the base is unknown, or params.yaml cannot be used.
        SourceError: If the base's weights are missing.
    """
    params = load_section(EmbedParams, "embed")
    num_images = row_shape(TRAIN_FILE, "images")[0] if TRAIN_FILE.exists() else TYPICAL_NUM_IMAGES
    for name in [args.base] if args.base else params.bases:
        _print_base(name, params, args.image_size, num_images=num_images)
    return 0


def _print_base(name: str, params: EmbedParams, image_size: int | None, *, num_images: int) -> None:
    own = params.bases.get(name)
    size = image_size or (own.image_size if own else TYPICAL_IMAGE_SIZE)
    cuts = find_cuts(load_base(name, image_size=size))
    limits = {"num_images": num_images, "max_bytes": params.max_bytes}
    kept, left_out = default_cuts(cuts, **limits)
    if own and own.cuts != "auto":
        kept, left_out = named_cuts(cuts, own.cuts, where=f"embed.bases.{name}.cuts", **limits), []
    print(f"{name} at {size} pixels, {num_images:,} images, embed.max_bytes={params.max_bytes:,}")
    marks = {cut.name: "kept" for cut in kept} | {cut.name: "too large" for cut in left_out}
    _print_table([HEADERS, *(_row(cut, marks.get(cut.name, "")) for cut in cuts)])


def _row(cut: Cut, mark: str) -> tuple[str, ...]:
    return (
        cut.name,
        "x".join(map(str, cut.shape)),
        f"{cut.num_parameters_below:,}",
        f"{cut.num_parameters_above:,}",
        f"{cut.bytes_per_image:,}",
        mark or ("end of a block" if cut.ends_block else ""),
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    for row in rows:
        name, shape, *numbers, mark = row
        cells = [name.ljust(widths[0]), shape.ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(numbers, widths[2:-1], strict=True)]
        print("  ".join([*cells, mark]).rstrip())
