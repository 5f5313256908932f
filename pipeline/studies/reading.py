"""What a notebook reads of a checkout: `from pipeline import load_study, ...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.trials.study import StudyRecord, read_study

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.training.image_classifier import ImageClassifier

FIRST_COLUMNS = (
    "number",
    "state",
    "value",
    "val_loss",
    "rung",
    "share",
    "promoted_from",
    "seconds",
)
"""Of `trials_frame`; hyperparameters follow."""


def load_study(name: str, *, root: str | Path = ".") -> StudyRecord:
    """Returns a study as its search exported it, with all its trials.

    Args:
        name: Its key below `studies` in params.yaml, such as `transfer`.
        root: The checkout.

    Raises:
        DataIntegrityError: If it has not been searched, or its file is damaged.
    """
    return read_study(Path(root), name)


def trials_frame(study: StudyRecord) -> pd.DataFrame:
    """Returns the trials of a study as a table.

    Args:
        study: As from `load_study`.

    Returns:
        A row for each trial, in the order of their numbers. Columns are `FIRST_COLUMNS`: `value`
        is the objective, `val_loss` the validation loss beside it, `rung` where it was trained,
        counted from 0 at the lowest, `share` what it was given of a whole training,
        `promoted_from` the number of the trial that it goes on with. Then a column for each
        hyperparameter that any trial has; empty where it did not apply.
    """
    import pandas as pd

    rows = [
        {
            "number": trial.number,
            "state": trial.state,
            "value": trial.value,
            "val_loss": trial.metrics.get("val_loss"),
            "rung": trial.rung,
            "share": trial.share,
            "promoted_from": trial.promoted_from,
            "seconds": trial.seconds,
            **trial.hyperparameters,
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows, columns=None if rows else list(FIRST_COLUMNS))


def load_champion(name: str | None = None, *, root: str | Path = ".") -> ImageClassifier:
    """Returns the champion of a checkout, ready to classify.

    Args:
        name: The registered model's; None: that of this checkout's data, which it must have learned
            from.
        root: The checkout.

    Raises:
        ConfigError: If there is no champion, or it is not known to be of these data.
        DataIntegrityError: If its file is not the one that was registered.
    """
    from pipeline.records.model_registry.classifier import load_champion as load
    from pipeline.records.model_registry.registered_models import registered_here
    from pipeline.training.image_classifier import ImageClassifier

    folder = Path(root).resolve()
    name = name or registered_here(folder)
    if name is None:
        raise ConfigError(f"{folder} has no registered model yet. Run: dvc repro")
    found = load(folder, name)
    return ImageClassifier(found.model, found.class_names, found.value_range)
