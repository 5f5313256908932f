"""The confirmed trainings as one model of images, and what that reaches."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.table import NO_BASE
from pipeline.data.rows import evenly
from pipeline.errors import DataIntegrityError
from pipeline.features.manifest import read_manifest
from pipeline.features.saved_base import load_saved_base
from pipeline.training.answers import answers_on_part
from pipeline.training.data import DataReference
from pipeline.training.export import Member, export, load_exported
from pipeline.training.price import named_metrics
from pipeline.training.steps import Predictor

logger = logging.getLogger(__name__)

# What an exported file may differ by from its members' answers from the cache; see `verified`.
MOST_DIFFERENCE: Final = 0.005
MOST_OTHER_CLASSES: Final = 0.005


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What an exported file itself reached on raw images, beside what was cached of them.

    Attributes:
        n: Images that it was run on.
        mean_difference: Over the images, the mean of the largest difference of a probability.
        num_other_class: Images that get another class than from the cache.
        metrics: `accuracy`, `log_loss` (nats) and `macro_f1` of the file.
        from_cache: The same of its members on cached features.
    """

    n: int
    mean_difference: float
    num_other_class: int
    metrics: Mapping[str, float]
    from_cache: Mapping[str, float]


def export_winner(
    path: Path,
    members: Sequence[Member],
    data: DataReference,
    *,
    image_shape: tuple[int, ...],
    part: str,
    most: int,
) -> tuple[Verified, dict[str, float]]:
    """Writes the members, on the base that they were trained on, as one verified `.keras` file.

    Before the file gets its name it is loaded as a stranger would load it and run on raw images;
    `verified` says what it must reach.

    Args:
        path: Where the file goes; its name ends in `.keras`.
        members: One or more trainings, as `choose` returns them beside their specs.
        data: What they were trained on.
        image_shape: Shape of a raw image as it is stored: (height, width) or (height, width, 3).
        part: What it is judged on, such as `confirmation`.
        most: Raw images of the part that the file is run on at most.

    Returns:
        What the file reached on these, and what the members reach together on the whole part from
        the cache: `accuracy`, `log_loss` (nats) and `macro_f1`.

    Raises:
        DataIntegrityError: If the file answers otherwise than its members do from the cache; then
            `path` is as it was before.
    """
    features = Path(data.features)
    manifest = read_manifest(features)
    cached, labels = mean_probabilities(members, data, part=part)
    found: list[Verified] = []

    def verify(file: Path) -> None:
        answers = answers_on_part(
            load_exported(file),
            Path(data.train_file),
            part,
            num_images=len(labels),
            most=most,
        )
        places = evenly(len(labels), most)
        found.append(verified(answers, cached[places], labels[places], file=path, part=part))

    export(
        path,
        members,
        image_shape=image_shape,
        image_size=manifest.image_size,
        base=None if manifest.base == NO_BASE else load_saved_base(features),
        verify=verify,
    )
    logger.info(
        "%s on %d raw %s images: accuracy %.4f, from the cache %.4f; probabilities differ by %.1e",
        *(path.name, found[0].n, part, found[0].metrics["accuracy"]),
        *(found[0].from_cache["accuracy"], found[0].mean_difference),
    )
    return found[0], named_metrics(cached, labels)


def verified(
    answers: NDArray[np.float32],
    cached: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    file: Path,
    part: str,
) -> Verified:
    """Compares what an exported file says of raw images with what its members say from the cache.

    Both compute the same function; only the rounding of cached features to float16 lies between
    them. Of 10,000 CIFAR-10 images that changes a probability by at most 5.6e-4 (EfficientNet-Lite0
    and MobileNet 0.25, 8 cuts each). A base that lost its input normalization is off by 0.1 and
    more.

    Args:
        answers: Probabilities of the file, shape (n, num_classes).
        cached: Probabilities of the members from cached features, of the same images.
        labels: The images' true class ids, shape (n,).
        file: What is exported, for the message.
        part: What the images are called, for the message.

    Raises:
        DataIntegrityError: If the largest difference of an image's probabilities is more than
            `MOST_DIFFERENCE` on average (or no number), or more than `MOST_OTHER_CLASSES` of the
            images (and more than one) get another class.
    """
    difference = float(np.abs(answers - cached).max(axis=1).mean())
    num_other = int(np.sum(answers.argmax(axis=1) != cached.argmax(axis=1)))
    found = Verified(
        n=len(labels),
        mean_difference=difference,
        num_other_class=num_other,
        metrics=named_metrics(answers, labels) if np.isfinite(difference) else {},
        from_cache=named_metrics(cached, labels),
    )
    is_near = difference <= MOST_DIFFERENCE  # False of NaN.
    if is_near and num_other <= max(1, MOST_OTHER_CLASSES * len(labels)):
        return found
    accuracy = found.metrics.get("accuracy", float("nan"))
    raise DataIntegrityError(
        f"{file} must answer on raw {part} images as its trainings did from the cached features, "
        f"within {MOST_DIFFERENCE} on average. Received: probabilities that differ by "
        f"{difference:.4f} on average and another class for {num_other} of {len(labels)} images; "
        f"accuracy {accuracy:.4f} instead of {found.from_cache['accuracy']:.4f}. It was not "
        "exported. The base does not compute the same in the exported model as in `embed`: please "
        "report it, with the base. If its file or its weights changed since: dvc repro -f embed"
    )


def mean_probabilities(
    members: Sequence[Member], data: DataReference, *, part: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns what members answer together, from what is cached of the images, and the labels.

    Args:
        members: One or more, of the same classes.
        data: What they were trained on.
        part: `val`, or a part that is only judged on, such as `confirmation`.

    Returns:
        Probabilities, shape (n, num_classes), each the mean over the members, and n class ids.
    """
    votes = []
    for member in members:
        cut_data = data.load_cut(member.cut, judge=None if part == "val" else part)
        training = cut_data.training
        rows = training.val if cut_data.judge is None else cut_data.judge
        votes.append(Predictor(member.trained)(training, rows))
    return np.mean(votes, axis=0), training.labels[rows]
