"""Runs a challenger's file and the champion's on the confirmation images of a checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.data.rows import part_labels
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.evaluation.paired import Superiority, superiority

if TYPE_CHECKING:
    from pathlib import Path

    import keras

PART: Final = "confirmation"
RESAMPLES: Final = 2000
SEED: Final = 0


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
        num_resamples=RESAMPLES,
        seed=SEED,
    )
