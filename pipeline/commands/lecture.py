"""Shows a claim of the lectures on a few images of the data set: a table and a figure.

Run: python -m pipeline lecture [NAME] [--seeds 5] [--images 4000]; without a name it lists them
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.bases.table import NO_BASE
from pipeline.config import load_section, read_document
from pipeline.data.split_params import SplitParams
from pipeline.errors import ConfigError
from pipeline.features.params import EmbedParams
from pipeline.lectures.demonstration import Demonstration, Ground
from pipeline.lectures.demonstrations import DEMONSTRATIONS
from pipeline.lectures.variants import BASE
from pipeline.registry import unknown_name
from pipeline.training.data import DataReference

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER: Final = Path("results/lectures")
FEWEST_SEEDS: Final = 2
FEWEST_IMAGES: Final = 50
BASES: Final = {
    BASE: {
        "model": "efficientnet_lite0",
        "image_size": 64,
        "cuts": ["block7_add", "block10_add", "avg_pool"],
        "views": {"hflip": False},
    }
}
CUTS: Final = {NO_BASE: "pixels", BASE: "block10_add"}
PIXELS: Final = 64
"""Most that a network on the pixels is given of an image, on each side."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("demonstration", nargs="?", metavar="NAME", help="(default: list them)")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each variant")
    parser.add_argument("--images", type=int, default=4000, help="most to train on")
    parser.add_argument(
        "--epochs-factor", type=float, default=1.0, help="of its epochs; below 1 for a quick look"
    )


def main(args: argparse.Namespace) -> int:
    """Prints the list, or trains, prints the table and writes the figure.

    Raises:
        ConfigError: If there is no such demonstration, or the data set is too small for it.
        DataIntegrityError: If nothing was fetched.
        StudyError: If a training fails.
    """
    if args.demonstration is None:
        for one in DEMONSTRATIONS.values():
            print(f"{one.name:26} {one.title}")
        return 0
    demonstration = DEMONSTRATIONS.get(args.demonstration)
    if demonstration is None:
        raise ConfigError(unknown_name("demonstration", args.demonstration, list(DEMONSTRATIONS)))
    if args.seeds < FEWEST_SEEDS:
        raise ConfigError(f"--seeds must be {FEWEST_SEEDS} or more. Received: {args.seeds}.")
    if args.images < FEWEST_IMAGES:
        raise ConfigError(f"--images must be {FEWEST_IMAGES} or more. Received: {args.images}.")
    with tempfile.TemporaryDirectory(prefix="lecture-") as folder:
        _show(demonstration, args, Path(folder))
    return 0


def _show(demonstration: Demonstration, args: argparse.Namespace, folder: Path) -> None:
    from pipeline.processes import num_cores
    from pipeline.search.executors.local import LocalExecutor, prepare
    from pipeline.training.devices import configure_tensorflow

    began = time.monotonic()
    # What the stages say of the images is not what is shown.
    logging.getLogger("pipeline").setLevel(logging.WARNING)
    prepare()
    configure_tensorflow(num_threads=num_cores())
    ground = prepared(
        folder,
        num_images=args.images,
        num_seeds=args.seeds,
        epochs_factor=args.epochs_factor,
        has_base=demonstration.has_base,
        needed_by=[demonstration],
    )
    with LocalExecutor(num_cores()) as executor:
        shown = demonstration.show(ground, executor)
    print(demonstration.title, *shown.lines, sep="\n")
    FOLDER.mkdir(parents=True, exist_ok=True)
    figure = FOLDER / f"{demonstration.name}.png"
    shown.draw(figure)
    if shown.write is not None:
        model = figure.with_suffix(".keras")
        print(f"\n{model}: {shown.write(model)}")
    print(f"\n{figure}, after {time.monotonic() - began:.0f} s")


def prepared(
    folder: Path,
    *,
    num_images: int,
    num_seeds: int,
    epochs_factor: float,
    has_base: bool,
    needed_by: Sequence[Demonstration],
) -> Ground:
    """Writes a few images of the data set that was fetched, and their features, below a folder.

    Args:
        folder: An empty one.
        num_images: Most to train on.
        num_seeds: Trainings of each variant.
        epochs_factor: Of what a demonstration trains.
        has_base: Whether features of a base are needed.
        needed_by: What is to be shown on them.

    Raises:
        ConfigError: If there are too few images for one of these.
        DataIntegrityError: If nothing was fetched.
    """
    from pipeline.lectures.images import write_few
    from pipeline.stages import embed

    num_train = write_few(
        Path("data/raw"),
        folder / "train.npz",
        load_section(SplitParams, "split"),
        num_train=num_images,
    )
    for one in needed_by:
        if num_train < one.fewest_images:
            raise ConfigError(
                f"{one.name} trains on up to {one.fewest_images:,} images. There are "
                f"{num_train:,} to train on."
            )
    params = load_section(EmbedParams, "embed").model_dump()
    params.update(bases=BASES if has_base else {}, pixels_size=PIXELS)
    embed.run(
        EmbedParams.model_validate(params),
        train_file=folder / "train.npz",
        features=folder / "features",
        store=folder / "store",
    )
    data = {
        base: DataReference(
            features=str(folder / "features" / base), train_file=str(folder / "train.npz")
        )
        for base in CUTS
    }
    return Ground(
        data=data,
        cuts=CUTS,
        defaults=read_document()["defaults"],
        folder=folder,
        num_seeds=num_seeds,
        num_train=num_train,
        epochs_factor=epochs_factor,
    )
