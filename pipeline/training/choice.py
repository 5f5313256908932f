"""Which of the confirmed trainings are exported together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.table import NO_BASE
from pipeline.data.rows import part_images
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.features.manifest import Manifest, read_manifest
from pipeline.features.saved_base import load_saved_base
from pipeline.training.data import DataReference
from pipeline.training.ensemble import mean_probabilities
from pipeline.training.export import Member, join, load_exported
from pipeline.training.messages import TrialResult, TrialSpec
from pipeline.training.price import Price, price, speeds, verdict

TIMED_IMAGES: Final = 128
MOST_MEMBERS: Final = 15
"""Trainings that come into question: each takes some tenths of a second to load and to ask."""
ALONE: Final = (
    "one network: on the validation part no average with the next ones has a lower log loss"
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is exported.

    Attributes:
        members: The trainings, each with what it saved; the winner's first.
        compared: The first network alone and the ensemble, side by side; empty where no ensemble
            came into question.
        reason: Why it is the one or the other; empty where there is one network only.
    """

    members: Sequence[tuple[TrialSpec, Member]]
    compared: Sequence[Price] = ()
    reason: str = ""


def choose(
    specs: Sequence[TrialSpec],
    results: Mapping[str, TrialResult],
    data: DataReference,
    objective: ObjectiveSpec,
    *,
    rule: str,
    part: str,
    image_shape: tuple[int, ...],
    max_slowdown: float,
) -> Choice:
    """Returns the trainings that are exported.

    Args:
        specs: The confirmed trainings, one of the winner's first, then the best on the validation
            part.
        results: What each training gave, by the uid of its spec; each has a model file.
        data: What they were trained on.
        objective: What they are compared by.
        rule: `best_seed`: the first alone; `ensemble`: as many of them, in this order, as answer
            best together on the validation part, but two if there are two; `auto`: as many as
            answer best together and are fast enough, if `price.verdict` says so.
        part: What an ensemble is compared with its first network on, such as `confirmation`.
        image_shape: Shape of a raw image as it is stored: (height, width) or (height, width, 3).
        max_slowdown: As for `price.verdict`.

    Raises:
        DataIntegrityError: If a file is missing or not whole.
    """
    manifest = read_manifest(Path(data.features))
    wanted = specs[: 1 if rule == "best_seed" else MOST_MEMBERS]
    members = [_load(results[spec.uid], manifest) for spec in wanted]
    chosen = list(zip(wanted, members, strict=True))
    answers = [mean_probabilities([member], data, part="val") for member in members]
    votes, labels = [own for own, _ in answers], answers[0][1]
    found = Choice(members=chosen[:1], reason=ALONE if len(votes) > 1 else "")
    fewest, most = 2 if rule == "ensemble" else 1, len(votes)
    while (size := best_size(votes[:most], labels, fewest=fewest)) > 1:
        found, slowdown = _weighed(
            chosen,
            size,
            data,
            objective,
            rule=rule,
            part=part,
            image_shape=image_shape,
            max_slowdown=max_slowdown,
        )
        if rule == "ensemble" or slowdown <= max_slowdown:
            break
        most = fewer(size, slowdown, max_slowdown)
    return found


def fewer(size: int, slowdown: float, max_slowdown: float) -> int:
    """Returns of how many networks an ensemble is expected to be fast enough, >= 1, < `size`.

    Args:
        size: Of an ensemble that is too slow, >= 2.
        slowdown: How many times as long as its first network it takes for an image.
        max_slowdown: Most that is allowed, >= 1, < `slowdown`.

    >>> fewer(13, 2.2, 2.0), fewer(2, 2.2, 2.0)
    (11, 1)
    """
    each = (slowdown - 1) / (size - 1)
    return min(size - 1, 1 + int((max_slowdown - 1) / each + 1e-9))


def _weighed(
    chosen: Sequence[tuple[TrialSpec, Member]],
    size: int,
    data: DataReference,
    objective: ObjectiveSpec,
    *,
    rule: str,
    part: str,
    image_shape: tuple[int, ...],
    max_slowdown: float,
) -> tuple[Choice, float]:
    """Returns the first network or as many as `size`, and how many times as slow these are."""
    members = [member for _, member in chosen]
    sides, labels = [], np.empty(0, np.int64)
    for some in (members[:1], members[:size]):
        votes, labels = mean_probabilities(some, data, part=part)
        sides.append((some, votes))
    compared = _compared(sides, labels, data, part=part, image_shape=image_shape)
    single, ensemble = compared
    slowdown = single.images_per_second / ensemble.images_per_second
    is_worth, reason = verdict(
        sides[1][1],
        sides[0][1],
        labels,
        objective,
        slowdown=slowdown,
        max_slowdown=max_slowdown,
    )
    taken = size if is_worth or rule == "ensemble" else 1
    reason = f"an ensemble of {size}, {reason}"
    return Choice(members=chosen[:taken], compared=compared, reason=reason), slowdown


def _compared(
    sides: Sequence[tuple[Sequence[Member], NDArray[np.float32]]],
    labels: NDArray[np.int64],
    data: DataReference,
    *,
    part: str,
    image_shape: tuple[int, ...],
) -> list[Price]:
    """Returns the price of each side: members with their answers on a part."""
    features = Path(data.features)
    manifest = read_manifest(features)
    base = None if manifest.base == NO_BASE else load_saved_base(features)
    models = [
        join(some, image_shape=image_shape, image_size=manifest.image_size, base=base)
        for some, _ in sides
    ]
    images = next(part_images(Path(data.train_file), part, batch_size=TIMED_IMAGES))
    return [
        price(model, votes, labels, num_networks=len(some), images_per_second=speed)
        for model, (some, votes), speed in zip(models, sides, speeds(models, images), strict=True)
    ]


def _load(result: TrialResult, manifest: Manifest) -> Member:
    return Member(
        trained=load_exported(Path(str(result.model_file))),
        cut=result.starts_from,
        parts=manifest.feed(result.starts_from),
    )


def best_size(
    votes: Sequence[NDArray[np.float32]], labels: NDArray[np.int64], *, fewest: int = 1
) -> int:
    """Returns how many networks, taken in their order, answer best together.

    By their log loss, whatever trainings are compared by: all images tell of it, where one network
    was chosen for its accuracy on these and would keep that lead by chance. Only as many ensembles
    are compared as there are networks; choosing freely among them (Caruana et al. 2004, "Ensemble
    selection from libraries of models", section 2) overfits a small validation part.

    Args:
        votes: The probabilities that each network gives, shape (n, num_classes), one or more, in
            the order in which networks are taken.
        labels: Class ids of the same n images, of a part that nothing is judged on afterwards.
        fewest: That are taken if there are so many, >= 1.
    """
    sizes = range(min(fewest, len(votes)), len(votes) + 1)
    losses = [
        classification_metrics(np.mean(votes[:size], axis=0), labels)["loss"] for size in sizes
    ]
    # The first of the smallest; where all are no numbers, as few as may be.
    return sizes[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]
