"""The champion, or another model, as a file for LiteRT or ONNX, compared with the Keras file.

Run: python -m pipeline export --format litert|onnx [--model URI] [--output FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.bases.model_files import one_line
from pipeline.commands.predict import add_model_argument, asked_classifier
from pipeline.data.rows import part_images
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.training.portable import Answer

FORMATS: Final = ("litert", "onnx")
FOLDER: Final = Path("exports")
PARTS: Final = ("confirmation", "val")
"""Images that both are run on; their labels are not looked at, and the test part is not touched."""
MOST_IMAGES: Final = 10_000
IMAGES_AT_A_TIME: Final = 64
MOST_OTHER_CLASSES: Final = 0.001


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("--format", required=True, choices=FORMATS, help="what is written")
    add_model_argument(parser)
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help=f"where it goes (default: in {FOLDER}/)"
    )


def main(args: argparse.Namespace) -> int:
    """Writes the file if it answers as the Keras file does, and says how both do.

    Raises:
        ConfigError: If there is no such model, or the output has another suffix.
        DataIntegrityError: If the images to compare on are missing, the model cannot be converted,
            or the file gives more than `MOST_OTHER_CLASSES` of them another class.
    """
    from pipeline.features.frozen import TENSORFLOW, freeze
    from pipeline.training.portable import (
        SUFFIXES,
        borrowed_operations,
        open_portable,
        write_portable,
    )

    root = Path.cwd()
    classifier = asked_classifier(args, root)
    output = args.output or FOLDER / f"{_file_name(classifier.source)}{SUFFIXES[args.format]}"
    if output.suffix != SUFFIXES[args.format]:
        raise ConfigError(f"--output must end in {SUFFIXES[args.format]}. Received: {output}.")
    # Not before the model, which silences TensorFlow.
    from pipeline.features.onnx_graph import UNCONVERTIBLE

    images = _images(root / "data/train.npz", classifier.model.input_shape[1:])
    network = freeze(classifier.model, images, num_images=len(images), engine=TENSORFLOW)
    expected, keras_speed = _run(lambda some: network(some)[0], images)
    with write_whole(output) as part:
        try:
            write_portable(classifier.model, part, args.format)
            found, speed = _run(open_portable(part, args.format), images)
        except UNCONVERTIBLE as error:
            raise DataIntegrityError(
                f"{classifier.source} cannot be written as {args.format}: {one_line(error)}"
            ) from None
        _check(found, expected, classifier.source, args.format)
    _print(output, found, expected, speeds=(speed, keras_speed))
    if args.format == "litert" and (borrowed := borrowed_operations(output)):
        print(f"it runs only where TensorFlow's operations are linked in: {', '.join(borrowed)}")
    return 0


def _file_name(source: str) -> str:
    return source.removesuffix(".keras").replace(" version ", "-v").replace("/", "-")


def _images(train_file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if not train_file.is_file():
        raise DataIntegrityError(
            f"{train_file} has the images that both files are compared on. Run: dvc pull"
        )
    images = np.concatenate(
        [
            *part_images(train_file, PARTS[0], batch_size=1000, most=MOST_IMAGES // 2),
            *part_images(train_file, PARTS[1], batch_size=1000, most=MOST_IMAGES // 2),
        ]
    )
    if images.shape[1:] != shape:
        raise DataIntegrityError(
            f"The images of {train_file} must be of shape {shape}, as the model takes them, to "
            f"compare the files on. Received: {images.shape[1:]}."
        )
    return images


def _run(
    answer: Answer | Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], float]:
    """Returns the answers, and how many images a second they took."""
    answer(images[:IMAGES_AT_A_TIME])  # Compiles.
    began = time.perf_counter()
    starts = range(0, len(images), IMAGES_AT_A_TIME)
    rows = np.concatenate([answer(images[start : start + IMAGES_AT_A_TIME]) for start in starts])
    return rows, len(images) / (time.perf_counter() - began)


def _check(
    found: NDArray[np.float32], expected: NDArray[np.float32], source: str, wanted: str
) -> None:
    num_other = int(np.sum(found.argmax(axis=1) != expected.argmax(axis=1)))
    # One image may be a tie.
    if not np.isfinite(found).all() or num_other > max(1, MOST_OTHER_CLASSES * len(found)):
        raise DataIntegrityError(
            f"{source} as {wanted} gives another class for {num_other} of {len(found)} images; "
            f"more than {100 * MOST_OTHER_CLASSES:g}% is no copy of it. Nothing was written: "
            "please report it, with the base."
        )


def _print(
    output: Path,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    *,
    speeds: tuple[float, float],
) -> None:
    same = np.mean(found.argmax(axis=1) == expected.argmax(axis=1))
    print(
        f"{output}: {output.stat().st_size / 1e6:.1f} MB, {speeds[0]:,.0f} images a second; the "
        f"Keras model in TensorFlow {speeds[1]:,.0f}"
    )
    print(
        f"on {len(found):,} confirmation and validation images: largest difference of a "
        f"probability {np.abs(found - expected).max():.1e}, same class for {100 * same:.2f}%"
    )
