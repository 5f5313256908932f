"""Shows the cut points of a base, and which of them `embed` keeps or `plan` chooses from.

Run: python -m pipeline cuts [BASE] [--image-size PIXELS]
"""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from pipeline.bases.choice import (
    NAME_PATTERN,
    BaseChoice,
    check_choice,
    open_base,
)
from pipeline.bases.cuts import Cut, array_bytes, find_cuts
from pipeline.bases.table import BASES, RANDOM
from pipeline.bases.user_models import RAW, input_dtype, own_image_size
from pipeline.config import load_section
from pipeline.data.rows import row_shape
from pipeline.features.arrays import size_text
from pipeline.features.joined_cuts import kept_cuts
from pipeline.features.params import BaseParams, EmbedParams
from pipeline.features.pooling import pooled_cuts
from pipeline.plan_record import PLAN_FILE
from pipeline.planning.plan import with_plan
from pipeline.planning.probe import probed_cuts
from pipeline.records.model_registry.registered_file import RegisteredFile, registered_file

TRAIN_FILE = Path("data/train.npz")
# Fashion-MNIST without its test part: what sizes are reckoned for before `split` has run.
TYPICAL_NUM_IMAGES = 60_000
TYPICAL_NUM_TRAIN = 50_000
TYPICAL_IMAGE_SIZE = 96
HEADERS = ("cut", "resolution", "shape", "below", "above", "bytes/image", "all rows", "embed")
KEPT = "kept"
PROBED = "the plan looks at it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the base and the size of its images."""
    parser.add_argument(
        "base",
        nargs="?",
        metavar="BASE",
        help="an entry of embed.bases, a .keras file, models:/NAME@ALIAS, or one of "
        f"{', '.join(BASES)} (default: all of embed.bases)",
    )
    parser.add_argument(
        "--image-size", type=int, metavar="PIXELS", help="else that of embed, a model's own, or 96"
    )


def main(args: argparse.Namespace) -> int:
    """Prints a table for the base, or for each base of params.yaml.

    Weights of a base of the table are not needed, so that nothing is downloaded.

    Raises:
        ConfigError: If the base is unknown, or params.yaml cannot be used.
        SourceError: If a model file cannot be loaded.
    """
    params = load_section(EmbedParams, "embed")
    if PLAN_FILE.is_file():
        params = with_plan(params, PLAN_FILE)
    for name in [args.base] if args.base else params.bases:
        choice = _choice(name, params.bases.get(name), args.image_size)
        _print_base(choice, params.bases.get(name), max_bytes=params.max_bytes)
    return 0


def _choice(name: str, own: BaseParams | None, image_size: int | None) -> BaseChoice:
    if own is not None:
        choice = own.choice(name)
        choice = replace(choice, image_size=image_size or choice.image_size)
    else:
        choice = _unlisted(name, image_size)
    if choice.is_registered or choice.is_file:
        return choice
    return replace(choice, weights=RANDOM)


def _unlisted(model: str, image_size: int | None) -> BaseChoice:
    choice = BaseChoice(name="base", model=model, image_size=image_size or TYPICAL_IMAGE_SIZE)
    if choice.is_registered:
        with _fetch(model) as file:
            return _as_the_file_takes_it(choice, file.path, image_size)
    if choice.is_file:
        return _as_the_file_takes_it(choice, Path(model), image_size)
    return replace(choice, name=model) if re.fullmatch(NAME_PATTERN, model) else choice


def _as_the_file_takes_it(choice: BaseChoice, file: Path, image_size: int | None) -> BaseChoice:
    # Which range it is changes no shape.
    input_range = None if input_dtype(file) == RAW else (0.0, 1.0)
    size = image_size or own_image_size(file) or TYPICAL_IMAGE_SIZE
    return replace(choice, image_size=size, input_range=input_range)


def _fetch(uri: str) -> AbstractContextManager[RegisteredFile]:
    return registered_file(Path.cwd(), uri, asked_by="model")


def _print_base(choice: BaseChoice, own: BaseParams | None, *, max_bytes: int) -> None:
    from pipeline.training.devices import fix_settings

    check_choice(choice)
    fix_settings()
    opened = open_base(choice, fetch=_fetch)
    cuts, num_rows = find_cuts(opened.model), _num_rows(own)
    source = str(replace(opened.source, weights=None))
    title = choice.name if source == choice.name else f"{choice.name} ({source})"
    print(f"{title} at {choice.image_size} pixels")
    if own is None or own.cuts == "auto":
        probed = {cut.name: PROBED for cut in probed_cuts(opened.model)}
        _print_table([HEADERS, *(_row(cut, probed, num_rows) for cut in cuts)])
        print("kept: what the stage `plan` chooses\n")
        return
    limits = {"num_images": num_rows, "max_bytes": max_bytes}
    where = f"embed.bases.{choice.name}"
    kept = kept_cuts(cuts, own.names_kept, own.pooling, where=where, **limits)
    pooled = pooled_cuts(cuts, own.pooling, where=f"{where}.pooling")
    marks = {cut.name: KEPT for cut in kept}
    shown = [*pooled, *(cut for cut in kept if cut.parts)]
    _print_table([HEADERS, *(_row(cut, marks, num_rows) for cut in shown)])
    print(f"kept: {', '.join(cut.name for cut in kept)}")
    print(
        f"{num_rows:,} rows of them take {size_text(array_bytes(kept, num_rows))} of "
        f"embed.max_bytes={size_text(max_bytes)}\n"
    )


def _num_rows(own: BaseParams | None) -> int:
    num_images, num_train = TYPICAL_NUM_IMAGES, TYPICAL_NUM_TRAIN
    if TRAIN_FILE.exists():
        num_images = row_shape(TRAIN_FILE, "images")[0]
        num_train = row_shape(TRAIN_FILE, "train")[0]
    return num_images + num_train * (own.views_wanted.num_views if own else 0)


def _row(cut: Cut, marks: dict[str, str], num_rows: int) -> tuple[str, ...]:
    return (
        cut.name,
        "x".join(map(str, cut.shape[:-1])) or "-",
        "x".join(map(str, cut.shape)),
        f"{cut.num_parameters_below:,}",
        f"{cut.num_parameters_above:,}",
        f"{cut.bytes_per_image:,}",
        size_text(array_bytes([cut], num_rows)),
        marks.get(cut.name, "end of a block" if cut.ends_block else ""),
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    print(*_lines(rows[:1], widths))
    for _, group in groupby(rows[1:], key=lambda row: row[1]):
        print(*_lines(group, widths), sep="\n", end="\n\n")


def _lines(rows: Iterable[tuple[str, ...]], widths: Sequence[int]) -> Iterator[str]:
    for row in rows:
        *cells, mark = row
        name, *rest = (
            cell.rjust(width) if index > 2 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths[:-1], strict=True))
        )
        sign = "*" if mark == KEPT else " "
        yield "  ".join([f"{sign} {name}", *rest, mark]).rstrip()
