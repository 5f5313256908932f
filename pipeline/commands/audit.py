"""Compares Optuna with MLflow, trial by trial; exit 1 where they differ.

Run: python -m pipeline audit [--repair]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import load_section, read_document
from pipeline.errors import StudyError
from pipeline.tuning.lock import study_lock
from pipeline.tuning.params import SearchParams
from pipeline.tuning.storage import AUTO, open_storage
from pipeline.tuning.study import TrialDict, read_trials

if TYPE_CHECKING:
    from pipeline.tracking.audit import Difference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "--repair", action="store_true", help="restore MLflow from the studies where they differ"
    )


def main(args: argparse.Namespace) -> int:
    """Audits every study of params.yaml.

    Returns:
        0 if MLflow says what the studies say, or was made to; else 1.

    Raises:
        StudyError: If there is nothing to audit, or a repair is asked for during a search.
    """
    from pipeline.tracking.audit import table

    root = Path.cwd()
    split = _read(root / "data/split.json")
    url = load_section(SearchParams, "search").storage
    num_different = 0
    for study in read_document()["studies"]:
        study_name = f"{split['dataset']}-{study}"
        try:
            trials = read_trials(root, study_name, url)
        except StudyError as error:
            print(f"{study}: {error}")
            continue
        examine = repair_study if args.repair else audit_study
        found = examine(root, split["dataset"], study=study, trials=trials, url=url)
        verb = "repaired" if args.repair else "found"
        print(f"{study_name}: {len(trials)} trials, {len(found)} differences {verb}")
        if found:
            print(table(found))
            num_different += len(found)
    return 0 if args.repair or num_different == 0 else 1


def audit_study(
    root: Path, dataset: str, *, study: str, trials: Sequence[TrialDict], url: str = AUTO
) -> list[Difference]:
    """Returns where MLflow differs from a study.

    While the study is being searched, a difference may be of the moment: the search tells Optuna
    first and MLflow second.

    Args:
        root: The repository.
        dataset: Names the experiment.
        study: Its name below `studies`.
        trials: All its trials, as in `study.json`.
        url: `search.storage`.

    Raises:
        ConfigError: If nothing has been recorded yet.
    """
    from pipeline.evaluation.metrics import OBJECTIVES
    from pipeline.tracking.audit import compare
    from pipeline.tracking.reconcile import find_parent, read_runs
    from pipeline.tracking.store import open_store

    store = open_store(root, create=False)
    study_name = f"{dataset}-{study}"
    parent = find_parent(store, store.experiment(dataset), study_name=study_name, identity="")
    if parent is None:
        return compare(trials, [])
    metric = OBJECTIVES[parent.run.data.tags["objective"]].metric
    runs = read_runs(store, parent, metric=metric)
    return compare(trials, runs, is_driver_alive=_is_searched(root, study_name, url))


def repair_study(
    root: Path, dataset: str, *, study: str, trials: Sequence[TrialDict], url: str = AUTO
) -> list[Difference]:
    """Makes MLflow equal to a study; returns what differed.

    Args:
        root: The repository.
        dataset: Names the experiment.
        study: Its name below `studies`.
        trials: All its trials, as in `study.json`.
        url: `search.storage`.

    Raises:
        StudyError: If the study is being searched, or MLflow has lost the study itself and
            `results/STUDY/study.json` is not there to tell what it was.
    """
    from pipeline.tracking.reconcile import find_parent
    from pipeline.tracking.runs import StudyRuns
    from pipeline.tracking.store import open_store

    study_name = f"{dataset}-{study}"
    with study_lock(root, study_name, storage=open_storage(root, url)):
        store = open_store(root)
        parent = find_parent(store, store.experiment(dataset), study_name=study_name, identity="")
        known = parent.run.data.tags if parent else _read(root / f"results/{study}/study.json")
        status = parent.run.info.status if parent else "FINISHED"
        runs = StudyRuns.open(
            root,
            dataset=dataset,
            study=study,
            study_name=study_name,
            identity=known["identity"],
            tags={"objective": known["objective"]},
            params={},
        )
        found = runs.reconcile(trials)
        # Nobody is at work here, so a parent that says RUNNING was left by a killed process.
        runs.close("KILLED" if status == "RUNNING" else status)
    return found


def _is_searched(root: Path, study_name: str, url: str) -> bool:
    try:
        with study_lock(root, study_name, storage=open_storage(root, url)):
            return False
    except StudyError:
        return True


def _read(file: Path) -> Any:
    if not file.is_file():
        raise StudyError(f"{file} must exist to know what to compare. Run `dvc repro`.")
    return json.loads(file.read_text(encoding="utf-8"))
