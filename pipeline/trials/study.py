"""What a search leaves behind: `study.json`, `best.json` and `trials.csv` below results/STUDY."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StudyError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.files import write_json, write_whole
from pipeline.trials.record import TrialDict, best_trial, num_finished

StudyDict = dict[str, Any]
"""What `study.json` holds; `export` makes it."""


def archived_name(study_name: str, identity: str) -> str:
    """Returns what a study is called once another one has its name.

    >>> archived_name("digits-transfer", "0123456789abcdef")
    'digits-transfer-01234567'
    """
    return f"{study_name}-{identity[:8]}"


@dataclass(frozen=True, kw_only=True)
class EarlierStudy:
    """A study that had the name until now.

    Attributes:
        name: What it is called from now on, as from `archived_name`.
        comparable: As `Identity.comparable`; None where an earlier release left none.
        trials: All of it.
    """

    name: str
    comparable: str | None
    trials: list[TrialDict]


def export(
    trials: list[TrialDict],
    *,
    study_name: str,
    attrs: Mapping[str, Any],
    study: str,
    dataset: str,
    objective: str,
    target: int,
    space: Mapping[str, Any],
) -> StudyDict:
    """Returns a whole study as JSON-ready data: what `study.json` holds.

    Args:
        trials: All of them, in the order of their numbers.
        study_name: As Optuna calls it.
        attrs: What it says of itself: `identity`, `study_uid` and `comparable`.
        study: Its name below `studies` in params.yaml.
        dataset: What it learned from.
        objective: A key of `OBJECTIVES`.
        target: `search.trials`.
        space: The distributions that it searched, by hyperparameter.

    Raises:
        StudyError: If no trial ran to its end, so that there is no best one.
    """
    direction = OBJECTIVES[objective].direction
    best = best_trial(trials, direction)
    if best is None:
        raise StudyError(
            f"No trial of {study_name} ran to its end: {num_finished(trials)} were pruned or "
            "diverged. Lower the learning rates in its space, choose a milder search.pruner, or "
            "give it more time."
        )
    return {
        "study_name": study_name,
        "study": study,
        "dataset": dataset,
        "identity": attrs["identity"],
        "study_uid": attrs["study_uid"],
        "comparable": attrs["comparable"],
        "objective": objective,
        "direction": direction,
        "target": target,
        "space": space,
        "best_number": best["number"],
        "trials": trials,
    }


def write(folder: Path, exported: Mapping[str, Any]) -> None:
    """Writes the three files.

    Args:
        folder: `results/STUDY`.
        exported: From `export`.
    """
    write_json(folder / "study.json", exported)
    best = exported["trials"][exported["best_number"]]
    write_json(folder / "best.json", {k: best[k] for k in ("number", "value", "hyperparameters")})
    _write_table(folder / "trials.csv", exported["trials"])


def _write_table(file: Path, trials: list[TrialDict]) -> None:
    names = list(dict.fromkeys(n for trial in trials for n in trial["hyperparameters"]))
    plain = ("number", "state", "value", "seconds")
    with write_whole(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*plain, "epochs", *names])
        writer.writeheader()
        for trial in trials:
            own = {key: trial[key] for key in plain}
            epochs = len(trial["intermediate_values"])
            writer.writerow({**own, "epochs": epochs, **trial["hyperparameters"]})
