"""What a search leaves behind: `study.json`, `best.json` and `trials.csv` below results/STUDY."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import StudyError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.files import write_json, write_whole
from pipeline.open_databases import DatabaseLostError, last_look
from pipeline.tuning.params import SearchParams
from pipeline.tuning.retries import close_orphans
from pipeline.tuning.space import Setting, describe_space
from pipeline.tuning.study import TrialDict, best_trial, num_finished, trial_dicts

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

logger = logging.getLogger(__name__)


def export(
    study: Study,
    *,
    name: str,
    dataset: str,
    params: SearchParams,
    settings: Mapping[str, Setting],
) -> dict[str, Any]:
    """Returns a whole study as JSON-ready data.

    Args:
        study: Optuna's.
        name: Below `studies` in params.yaml.
        dataset: What it learned from.
        params: Section `search`.
        settings: What it searched or fixed.

    Raises:
        StudyError: If no trial ran to its end, so that there is no best one.
    """
    trials = trial_dicts(study)
    direction = OBJECTIVES[params.objective].direction
    best = best_trial(trials, direction)
    if best is None:
        raise StudyError(
            f"No trial of {study.study_name} ran to its end: {num_finished(trials)} were pruned or "
            "diverged. Lower the learning rates in its space, choose a milder search.pruner, or "
            "give it more time."
        )
    return {
        "study_name": study.study_name,
        "study": name,
        "dataset": dataset,
        "identity": study.user_attrs["identity"],
        "study_uid": study.user_attrs["study_uid"],
        "comparable": study.user_attrs["comparable"],
        "objective": params.objective,
        "direction": direction,
        "target": params.trials,
        "space": describe_space(settings),
        "best_number": best["number"],
        "trials": trials,
    }


def leave(
    study: Study,
    folder: Path,
    name: str,
    *,
    dataset: str,
    params: SearchParams,
    settings: Mapping[str, Setting],
) -> dict[str, Any]:
    """Writes what `export` returns, and returns it.

    Args:
        study: Optuna's.
        folder: `results/STUDY`.
        name: As for `export`, and so are the others.
        dataset: What it learned from.
        params: Section `search`.
        settings: What it searched or fixed.

    Raises:
        StudyError: As from `export`.
    """
    exported = export(study, name=name, dataset=dataset, params=params, settings=settings)
    write(folder, exported)
    return exported


@contextmanager
def saved_from_loss(
    study: Study,
    storage: BaseStorage,
    leave: Callable[[], object],
    *,
    params: SearchParams,
    root: Path,
) -> Iterator[None]:
    """Writes what a study holds when a database goes away below its search, to be restored from.

    The system keeps a removed file until it is closed. If the whole checkout is elsewhere by now,
    it has taken everything along, and nothing is written where it was.

    Args:
        study: Optuna's.
        storage: Where it is.
        leave: Writes the study.
        params: Section `search`.
        root: The repository.
    """
    try:
        yield
    except DatabaseLostError:
        if not root.is_dir():
            raise
        try:
            with last_look(storage.engine):
                close_orphans(study, max_retries=params.max_retries, reason="its database was lost")
                leave()
        except StudyError as unsaved:
            logger.warning("%s: nothing could be saved: %s", study.study_name, unsaved)
        else:
            logger.warning("%s: its trials are saved in results/", study.study_name)
        raise


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
