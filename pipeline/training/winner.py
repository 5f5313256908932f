"""The trainings of a confirmed configuration as one model of images, and what that reaches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.evaluation.metrics import classification_metrics
from pipeline.models.bases import NO_BASE
from pipeline.models.export import Member, export, load_exported
from pipeline.models.pooling import NO_POOLING
from pipeline.models.saved_bases import load_saved_base
from pipeline.training.features import read_manifest
from pipeline.training.predictions import Predictor
from pipeline.tuning.records import DataReference, TrialResult


def load_members(trained: Sequence[TrialResult], data: DataReference) -> list[Member]:
    """Loads what trainings saved.

    Args:
        trained: Results with a model file each.
        data: What they were trained on.

    Raises:
        DataIntegrityError: If a file is missing or not whole.
    """
    cuts = read_manifest(Path(data.features))["cuts"]
    return [
        Member(
            trained=load_exported(Path(str(result.model_file))),
            cut=result.starts_from,
            pooling=cuts[result.starts_from].get("pooling", NO_POOLING),
        )
        for result in trained
    ]


def export_winner(
    path: Path, members: Sequence[Member], data: DataReference, *, image_shape: tuple[int, ...]
) -> None:
    """Writes the members, on the base that they were trained on, as one `.keras` file.

    Args:
        path: Ends in `.keras`.
        members: Of one configuration.
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


def judge_winner(members: Sequence[Member], data: DataReference, *, part: str) -> dict[str, float]:
    """Measures the mean of the members' probabilities, from what is cached of the images.

    Args:
        members: As exported.
        data: What they were trained on.
        part: Of the data, such as `confirmation`.

    Returns:
        `accuracy`, `log_loss` (nats) and `macro_f1`.
    """
    votes = []
    for member in members:
        cut_data = data.load_cut(member.cut, judge=part)
        rows, labels = np.asarray(cut_data.judge), cut_data.training.labels
        votes.append(Predictor(member.trained)(cut_data.training.features, rows))
    metrics = classification_metrics(np.mean(votes, axis=0), labels[rows])
    names = {"accuracy": "accuracy", "loss": "log_loss", "macro_f1": "macro_f1"}
    return {name: metrics[key] for key, name in names.items()}
