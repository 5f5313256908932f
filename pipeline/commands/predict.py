"""Class and probabilities of image files, from the registered champion or another model.

Run: python -m pipeline predict IMAGE... [--model URI] [--top N]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.config import load_section
from pipeline.data.fetch_params import FetchParams
from pipeline.data.images import ValueRange, load_image
from pipeline.errors import ConfigError
from pipeline.split_record import find_split
from pipeline.stages.fetch import expected_name
from pipeline.trials.registration import registration_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.records.model_registry.classifier import Classifier

RGB_RANK = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG, ...")
    parser.add_argument(
        "--model",
        metavar="URI",
        help="models:/NAME@ALIAS, models:/NAME/VERSION or a .keras file "
        "(default: the champion of this checkout's data set, if it learned from these data)",
    )
    parser.add_argument(
        "--top", type=int, default=3, help="probabilities shown per image (default: %(default)s)"
    )


def main(args: argparse.Namespace) -> int:
    """Prints a line for each image: its class, and the largest probabilities.

    Raises:
        ConfigError: If there is no such model or image, or the champion is of other data.
        DataIntegrityError: If a file is no image, or the model not what was registered.
    """
    from pipeline.records.model_registry.classifier import load_champion, load_classifier
    from pipeline.training.export import predict_probabilities

    missing = [str(path) for path in args.images if not path.is_file()]
    if missing:
        raise ConfigError(f"IMAGE must be a file. Received: {', '.join(missing)}.")
    root = Path.cwd()
    classifier = (
        load_classifier(root, args.model)
        if args.model
        else load_champion(root, registered_model(root))
    )
    shape, values = classifier.model.input_shape[1:], value_range(classifier, root)
    images = np.stack([_load(path, shape, values) for path in args.images])
    names = class_names(classifier, root)
    probabilities = predict_probabilities(classifier.model, images)
    print(f"model: {classifier.source}")
    for path, row in zip(args.images, probabilities, strict=True):
        print(f"{path}: {described(row, names, top=args.top)}")
    return 0


def registered_model(root: Path) -> str:
    """Returns the registered model of this checkout's data set.

    The one that `results/registration.json` names, if that is of the data set of `data/split.json`;
    else the usual one. Where nothing has run, the data set is the one that `fetch` would make.
    """
    from pipeline.records.model_registry.registered_models import (
        is_of_dataset,
        registered_model_name,
    )

    split, record = find_split(root), registration_of(root)
    if split is not None:
        dataset = split.dataset
    else:
        dataset = expected_name(load_section(FetchParams, "fetch"), root)
    is_own = record is not None and is_of_dataset(record.registered_model, dataset)
    if record is not None and (is_own or split is None):
        return record.registered_model
    return registered_model_name(dataset)


def class_names(classifier: Classifier, root: Path) -> Sequence[str]:
    """Returns a name for each output of a model.

    A `.keras` file holds none: then they are those of `data/split.json` if as many, else numbers.
    """
    num_classes = classifier.model.output_shape[-1]
    names: Sequence[str] = classifier.class_names
    if not names and (split := find_split(root)) is not None:
        names = split.class_names
    return names if len(names) == num_classes else [str(index) for index in range(num_classes)]


def value_range(classifier: Classifier, root: Path) -> ValueRange | None:
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


def _load(path: Path, input_shape: tuple[int, ...], values: ValueRange | None) -> NDArray[np.uint8]:
    height, width = input_shape[:2]
    if height != width:
        raise ConfigError(
            f"predict prepares square images only. Received: a model for {height}x{width} pixels. "
            "Load the model in Python and give it arrays of that shape."
        )
    color: Literal["rgb", "gray"] = "rgb" if len(input_shape) == RGB_RANK else "gray"
    return load_image(path, image_size=height, color=color, value_range=values)
