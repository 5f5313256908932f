"""Class and probabilities of image files, from the registered champion or another model.

Run: python -m pipeline predict IMAGE|FOLDER|PATTERN... [--model URI] [--top N] [--json | --csv]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from pipeline.config import load_section
from pipeline.data.fetch_params import FetchParams
from pipeline.data.images import ValueRange, load_image
from pipeline.data.readers.named import image_files
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.split_record import SPLIT_FILE, find_split
from pipeline.stages.fetch import expected_name

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from pipeline.features.onnx_session import OnnxFile
    from pipeline.records.model_registry.classifier import Classifier

RGB_RANK = 3
IMAGES_IN_MEMORY: Final = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="JPEG, PNG, ...; a folder, with all pictures below it; or a pattern in quotes",
    )
    add_model_argument(parser)
    parser.add_argument(
        "--top", type=int, default=3, help="probabilities shown per image (default: %(default)s)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="one object a line: image, class, probabilities"
    )
    form.add_argument(
        "--csv", action="store_true", help="a table: image, class, a probability for each class"
    )


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Declares `--model`, which `asked_classifier` reads."""
    parser.add_argument(
        "--model",
        metavar="URI",
        help="models:/NAME@ALIAS, models:/NAME/VERSION or a .keras file "
        "(default: the champion of this checkout's data set, if it learned from these data)",
    )


def asked_classifier(args: argparse.Namespace, root: Path) -> Classifier[keras.Model]:
    """Returns the model of `--model`, or the champion, as Keras loads it.

    Args:
        args: With `model`.
        root: The repository.

    Raises:
        ConfigError: If there is no such model, or the champion is of other data.
        DataIntegrityError: If the model is not what was registered.
    """
    from pipeline.records.model_registry.classifier import load_champion, load_classifier

    if args.model:
        return load_classifier(root, args.model)
    return load_champion(root, registered_model(root))


def main(args: argparse.Namespace) -> int:
    """Prints a line for each image: its class, and the largest probabilities.

    A file that cannot be read is named on stderr, and the others are answered.

    Returns:
        1 if a file could not be read, else 0.

    Raises:
        ConfigError: If there is no such model or image, or the champion is of other data.
        DataIntegrityError: If the model is not what was registered.
    """
    paths = image_files(args.images)
    root = Path.cwd()
    classifier = _quickest(args, root)
    shape, values = classifier.model.input_shape[1:], value_range(classifier, root)
    check_can_prepare(shape)
    show = _printer(args, class_names(classifier, root), source=classifier.source)
    answer, num_read = _answering(classifier, num_images=len(paths)), 0
    for start in range(0, len(paths), IMAGES_IN_MEMORY):
        read = _readable(paths[start : start + IMAGES_IN_MEMORY], shape, values)
        if not read:
            continue
        images = np.stack(list(read.values()))
        for path, row in zip(read, answer(images), strict=True):
            show(path, row)
        num_read += len(read)
    return 0 if num_read == len(paths) else 1


def _quickest(
    args: argparse.Namespace, root: Path
) -> Classifier[OnnxFile] | Classifier[keras.Model]:
    """Returns the model of `--model`, or the champion, as it is opened soonest."""
    from pipeline.records.model_registry.classifier import champion_file, quickly_opened
    from pipeline.records.model_registry.registered_file import REGISTRY, registered_file

    if not args.model:
        with champion_file(root, registered_model(root)) as file:
            return quickly_opened(file)
    if not args.model.startswith(REGISTRY):
        return asked_classifier(args, root)
    with registered_file(root, args.model, asked_by="--model") as file:
        return quickly_opened(file)


def _answering(
    classifier: Classifier[OnnxFile] | Classifier[keras.Model], *, num_images: int
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Returns what answers for so many images in all."""
    from pipeline.features.onnx_session import OnnxFile

    if isinstance(classifier.model, OnnxFile):
        return classifier.model
    from pipeline.features.frozen import FrozenNetwork, freeze

    frozen: list[FrozenNetwork] = []

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not frozen:  # It is compared on images.
            frozen.append(freeze(classifier.model, images, num_images=num_images))
        return frozen[0](images)[0]

    return answer


def registered_model(root: Path) -> str:
    """Returns the registered model of this checkout's data set.

    Where nothing has run, the data set is the one that `fetch` would make.
    """
    from pipeline.records.model_registry.registered_models import (
        registered_here,
        registered_model_name,
    )

    found = registered_here(root)
    if found is not None:
        return found
    return registered_model_name(expected_name(load_section(FetchParams, "fetch"), root))


def class_names(classifier: Classifier[Any], root: Path) -> Sequence[str]:
    """Returns a name for each output of a model.

    A `.keras` file holds none: then they are those of `data/split.json` if as many, else numbers;
    standard error says so.
    """
    num_classes = classifier.model.output_shape[-1]
    names: Sequence[str] = classifier.class_names
    if len(names) == num_classes:
        return names
    split = find_split(root)
    is_like = split is not None and len(split.class_names) == num_classes
    source = f"those of {SPLIT_FILE}" if is_like else "their numbers"
    print(f"The file holds no names of classes: these are {source}.", file=sys.stderr)
    return split.class_names if split and is_like else [str(n) for n in range(num_classes)]


def value_range(classifier: Classifier[Any], root: Path) -> ValueRange | None:
    """Returns what is black and white to a model in gray of more than 8 bits; None: the format's.

    A `.keras` file does not hold it: then it is what `data/split.json` says.
    """
    if classifier.class_names:
        return classifier.value_range
    split = find_split(root)
    return split.value_range if split is not None else None


def described(probabilities: NDArray[np.float32], names: Sequence[str], *, top: int) -> str:
    """Returns the likeliest class, then the `top` largest probabilities.

    >>> described(np.float32([0.25, 0.75]), ["cat", "dog"], top=2)
    'dog (dog 0.7500, cat 0.2500)'
    """
    order = np.argsort(-probabilities, kind="stable")
    shown = ", ".join(f"{names[index]} {probabilities[index]:.4f}" for index in order[:top])
    return f"{names[order[0]]} ({shown})"


def _printer(
    args: argparse.Namespace, names: Sequence[str], *, source: str
) -> Callable[[Path, NDArray[np.float32]], None]:
    """Returns what prints an image's answer; says first which model it comes from."""
    # What other programs read holds nothing else.
    print(f"model: {source}", file=sys.stderr if args.json or args.csv else sys.stdout)
    table = csv.writer(sys.stdout)
    if args.csv:
        table.writerow(["image", "class", *names])

    def show(image: Path, row: NDArray[np.float32]) -> None:
        # A name that is no UTF-8 could not be printed.
        path = os.fsencode(image).decode("utf-8", "backslashreplace")
        likeliest = names[int(row.argmax())]
        if args.json:
            probabilities = {name: float(share) for name, share in zip(names, row, strict=True)}
            print(
                json.dumps(
                    {"image": str(image), "class": likeliest, "probabilities": probabilities}
                )
            )
        elif args.csv:
            table.writerow([path, likeliest, *row.tolist()])
        else:
            print(f"{path}: {described(row, names, top=args.top)}")

    return show


def _readable(
    paths: Sequence[Path], input_shape: tuple[int, ...], values: ValueRange | None
) -> dict[Path, NDArray[np.uint8]]:
    """Returns the pixels of the images that can be read, and names the others on stderr."""
    color: Literal["rgb", "gray"] = "rgb" if len(input_shape) == RGB_RANK else "gray"
    read = {}
    for path in paths:
        try:
            read[path] = load_image(
                path, image_size=input_shape[0], color=color, value_range=values
            )
        except DataIntegrityError as error:
            print(error, file=sys.stderr)
    return read


def check_can_prepare(input_shape: tuple[int | None, ...]) -> None:
    """Refuses a model whose images no file can be brought to.

    Raises:
        ConfigError: If it takes no square images of gray or of RGB.
    """
    height = input_shape[0]
    if height is None or input_shape not in [(height, height), (height, height, 3)]:
        raise ConfigError(
            "A file becomes a square image, gray of shape (n, n) or RGB of shape (n, n, 3). "
            f"Received: a model for {input_shape}. Load it in Python and give it such arrays."
        )
