"""Compares models on the confirmation images of a checkout: with the champion, and a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.data.rows import part_labels
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.evaluation.paired import Superiority, standings, superiority
from pipeline.trials.confirmation import has_answers
from pipeline.trials.registration import BaselineRecord
from pipeline.workspace import confirmed_answers_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import keras

    from pipeline.trials.confirmation import ConfirmationRecord

PART: Final = "confirmation"


def against_baseline(
    confirm: ConfirmationRecord, baselines: Sequence[ConfirmationRecord], *, root: Path
) -> BaselineRecord | None:
    """Returns how a study's winner compares with the best of studies without a base.

    By what their trainings answer, image by image and seed by seed: see `evaluation.paired`.

    Args:
        confirm: The study's confirmation.
        baselines: Those of studies without a base, with the same objective.
        root: The repository.

    Returns:
        None without a baseline, or where the answers of a confirmation are not there, such as those
        of an early release.

    Raises:
        DataIntegrityError: If the confirmation images are missing.
    """
    everyone = (confirm, *baselines)
    if not baselines or not all(has_answers(root, one) for one in everyone):
        return None
    labels, objective = part_labels(root / "data/train.npz", PART), OBJECTIVES[confirm.objective]
    answers = [np.load(confirmed_answers_file(root, one.study)) for one in everyone]
    places = standings(
        answers,
        labels,
        objective.probability_metric,
        is_larger_better=objective.direction == "maximize",
    )
    # The best baseline is the one that is least behind.
    best = min(range(1, len(places)), key=lambda position: places[position].behind.value)
    behind = places[best].behind
    difference, low, high = behind.value, behind.low, behind.high
    if places[0].behind.value > 0:  # The baseline has the best mean of all.
        behind = places[0].behind
        difference, low, high = -behind.value, -behind.high, -behind.low
    return BaselineRecord(
        study=baselines[best - 1].study,
        objective=confirm.objective,
        difference=difference,
        low=low,
        high=high,
        n=len(labels),
        num_seeds=[len(answers[0]), len(answers[best])],
    )


def compare(
    challenger: keras.Model, champion: keras.Model, objective: str, *, root: Path
) -> Superiority:
    """Returns whether a model is better than the champion.

    Args:
        challenger: Raw images to probabilities.
        champion: The same, of the same classes and image shape.
        objective: A key of `OBJECTIVES`, which they are compared by.
        root: The repository, on whose confirmation part both are run.

    Raises:
        DataIntegrityError: If these images are missing.
    """
    from pipeline.training.answers import answers_on_part

    train_file, wanted = root / "data/train.npz", OBJECTIVES[objective]
    labels = part_labels(train_file, PART)
    ours, theirs = (
        answers_on_part(model, train_file, PART, num_images=len(labels))
        for model in (challenger, champion)
    )
    return superiority(
        wanted.probability_metric,
        ours,
        theirs,
        labels,
        is_larger_better=wanted.direction == "maximize",
    )
