"""The confirmed trainings as one model of images, and what that reaches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import ObjectiveSpec, classification_metrics
from pipeline.models.bases import NO_BASE
from pipeline.models.export import Member, export, load_exported
from pipeline.models.pooling import NO_POOLING
from pipeline.models.saved_bases import load_saved_base
from pipeline.training.features import read_manifest
from pipeline.training.predictions import Predictor
from pipeline.tuning.ensembles import best_size
from pipeline.tuning.records import DataReference, TrialResult, TrialSpec


def choose(
    specs: Sequence[TrialSpec],
    results: Mapping[str, TrialResult],
    data: DataReference,
    objective: ObjectiveSpec,
    *,
    rule: str,
) -> list[tuple[TrialSpec, Member]]:
    """Returns the trainings that are exported, each with what it saved.

    Args:
        specs: As from `tuning.confirmation.in_order`.
        results: By uid, with a model file each.
        data: What they were trained on.
        objective: What they are compared by.
        rule: A key of `tuning.confirmation.EXPORT_RULES`.

    Raises:
        DataIntegrityError: If a file is missing or not whole.
    """
    cuts = read_manifest(Path(data.features))["cuts"]
    wanted = specs if rule == "ensemble" else specs[:1]
    members = [_load(results[spec.uid], cuts) for spec in wanted]
    answers = [mean_probabilities([member], data, part="val") for member in members]
    size = best_size([votes for votes, _ in answers], answers[0][1], objective)
    return list(zip(wanted, members, strict=True))[:size]


def _load(result: TrialResult, cuts: Mapping[str, Any]) -> Member:
    return Member(
        trained=load_exported(Path(str(result.model_file))),
        cut=result.starts_from,
        pooling=cuts[result.starts_from].get("pooling", NO_POOLING),
    )


def export_winner(
    path: Path, members: Sequence[Member], data: DataReference, *, image_shape: tuple[int, ...]
) -> None:
    """Writes the members, on the base that they were trained on, as one `.keras` file.

    Args:
        path: Ends in `.keras`.
        members: As from `choose`.
        data: What they were trained on.
        image_shape: Of the images as stored: (height, width) or (height, width, 3).
    """
    features = Path(data.features)
    manifest = read_manifest(features)
    export(
        path,
        members,
        image_shape=image_shape,
        image_size=manifest["image_size"],
        base=None if manifest["base"] == NO_BASE else load_saved_base(features),
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


def judge_winner(members: Sequence[Member], data: DataReference, *, part: str) -> dict[str, float]:
    """Measures what members answer together.

    Args:
        members: As exported.
        data: What they were trained on.
        part: As for `mean_probabilities`.

    Returns:
        `accuracy`, `log_loss` (nats) and `macro_f1`.
    """
    metrics = classification_metrics(*mean_probabilities(members, data, part=part))
    names = {"accuracy": "accuracy", "loss": "log_loss", "macro_f1": "macro_f1"}
    return {name: metrics[key] for key, name in names.items()}
