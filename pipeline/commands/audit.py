"""Compares Optuna with MLflow, trial by trial; exit 1 where they differ.

Run: python -m pipeline audit [--repair]
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import read_document
from pipeline.errors import ConfigError, StudyError

if TYPE_CHECKING:
    from pipeline.tracking.audit import Difference
    from pipeline.tracking.reconcile import Parent
    from pipeline.tracking.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "--repair", action="store_true", help="restore MLflow from the studies where they differ"
    )


def main(args: argparse.Namespace) -> int:
    """Audits every study of params.yaml.

    Returns:
        0 if MLflow says what the studies say, or was made to; else 1.
    """
    from pipeline.tracking.audit import table
    from pipeline.tuning.study import read_trials

    root = Path.cwd()
    is_equal = True
    for study, study_name in study_names(read_document(), root):
        try:
            trials = read_trials(root, study_name)
        except StudyError as error:
            print(f"{study_name}: {error}")
            continue
        differences = audit_study(
            root, study=study, study_name=study_name, trials=trials, repair=args.repair
        )
        verdict = "repaired" if differences and args.repair else "differ"
        print(f"{study_name}: {len(trials)} trials, {len(differences)} {verdict}")
        if differences:
            print(table(differences))
            is_equal = is_equal and args.repair
    return 0 if is_equal else 1


def study_names(document: dict[str, Any], root: Path) -> list[tuple[str, str]]:
    """Returns each study of params.yaml, and what Optuna and MLflow call it.

    Raises:
        ConfigError: If params.yaml has no studies.
    """
    studies = document.get("studies")
    if not isinstance(studies, dict):
        raise ConfigError(f"studies must be a mapping of studies. Received: studies={studies!r}.")
    return [(study, f"{_dataset(document, root)}-{study}") for study in studies]


def audit_study(
    root: Path, *, study: str, study_name: str, trials: Sequence[dict[str, Any]], repair: bool
) -> "list[Difference]":
    """Returns where MLflow differs from a study; with `repair` it no longer does.

    Args:
        root: The repository.
        study: Its name below `studies`.
        study_name: What Optuna calls it.
        trials: All its trials, as in `study.json`.
        repair: Whether to make MLflow equal.

    Raises:
        StudyError: If a repair is asked for while the study is being searched.
    """
    from pipeline.tracking.audit import compare
    from pipeline.tracking.driver import is_driver_alive
    from pipeline.tracking.reconcile import find_parent, read_runs
    from pipeline.tracking.store import open_store

    store = open_store(root, create=repair)
    dataset = study_name.removesuffix(f"-{study}")
    experiment = store.experiment(dataset)
    parent = find_parent(store, experiment, study_name=study_name, identity="")
    if parent is None:
        differences = compare(trials, [])
        is_alive = False
    else:
        is_alive = parent.run.info.status == "RUNNING" and is_driver_alive(parent.run.data.tags)
        runs = read_runs(store, parent, metric=_metric(parent))
        differences = compare(trials, runs, is_driver_alive=is_alive)
    if differences and repair:
        if is_alive:
            raise StudyError(f"{study_name} is being searched: repair it when that has ended.")
        _repair(store, parent, dataset=dataset, study=study, trials=trials)
    return differences
