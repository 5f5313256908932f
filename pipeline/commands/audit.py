"""Compares Optuna and `confirm.json` with MLflow, training by training; exit 1 where they differ.

Run: python -m pipeline audit [--repair]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import load_section, study_bases
from pipeline.database_addresses import AUTO, sqlite_file
from pipeline.errors import StudyError
from pipeline.losses import lost_runs
from pipeline.plan_record import PLAN_FILE
from pipeline.plural import plural
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import mirror_uid, open_store, tracking_uri
from pipeline.records.storage import has_storage, open_storage
from pipeline.records.studies import trial_records
from pipeline.search.sections import SearchParams
from pipeline.split_record import read_split
from pipeline.stages.report import show_figures
from pipeline.studies.described import lost_study, own_study
from pipeline.trials.confirmation import belongs, confirmation_of
from pipeline.trials.identity import of_other_code
from pipeline.trials.study import exported_study

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.records.mirror.differences import Difference
    from pipeline.trials.record import TrialRecord

UNWRITTEN = "its runs are lost: `python -m pipeline audit --repair` writes them anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "--repair", action="store_true", help="restore MLflow from the studies where they differ"
    )


def main(args: argparse.Namespace) -> int:
    """Audits every study of params.yaml.

    Returns:
        0 if MLflow says what the studies say, or was made to; else 1, also where a study or the
        tracking store is missing that `results/STUDY/study.json` tells of.

    Raises:
        ConfigError: If a store cannot be used.
        StudyError: If there is nothing to audit, or a repair is asked for during a search.
    """
    root = Path.cwd()
    dataset, url = read_split(root).dataset, load_section(SearchParams, "search").storage
    is_equal = [
        _audit(root, dataset, name=name, url=url, is_repaired=args.repair) for name in study_bases()
    ]
    return 0 if all(is_equal) else 1


def _audit(root: Path, dataset: str, *, name: str, url: str, is_repaired: bool) -> bool:
    """Audits one study and prints what came of it; whether all is well now."""
    from pipeline.records.mirror.differences import table

    study_name = f"{dataset}-{name}"
    study = (
        own_study(root, open_storage(root, url), study_name, name=name, url=url)
        if has_storage(root, url)
        else None
    )
    if study is None:
        lost = lost_study(root, name, study_name)
        print(f"{study_name}: {lost or 'the study has not been searched yet'}")
        return not lost
    if not is_repaired and not _has_runs(root):
        print(f"{study_name}: {lost_runs(root, tracking_uri(root)) or UNWRITTEN}")
        return False
    examine = repair_study if is_repaired else audit_study
    found = examine(root, dataset, name=name, study=study, url=url)
    verb = "repaired" if is_repaired else "found"
    trials = trial_records(study)
    print(
        f"{study_name}: {plural(len(trials), 'trial')}, {plural(len(found), 'difference')} {verb}"
    )
    if remark := of_other_code(trials).remark:
        print(f"{study_name}: {remark}")
    if found:
        print(table(found))
    if not is_repaired and len(study.trials) == sum(one.kind == "missing" for one in found) > 0:
        print(f"{study_name}: {lost_runs(root, f'run of it in {tracking_uri(root)}') or UNWRITTEN}")
    return is_repaired or not found


def audit_study(
    root: Path, dataset: str, *, name: str, study: Study, url: str = AUTO
) -> list[Difference]:
    """Returns where MLflow differs from a study.

    While the study is being searched, a difference may be of the moment: the search tells Optuna
    first and MLflow second.

    Args:
        root: The repository.
        dataset: Names the experiment.
        name: Of the study, below `studies`.
        study: Optuna's.
        url: `search.storage`.

    Raises:
        ConfigError: If nothing has been recorded yet.
    """
    from pipeline.evaluation.objectives import OBJECTIVES
    from pipeline.records.mirror.differences import compare
    from pipeline.records.mirror.reconcile import find_parent, missing_trainings, read_runs

    store = open_store(root, create=False)
    uid = mirror_uid(root, study.user_attrs["study_uid"], url)
    parent = find_parent(store, store.experiment(dataset), study_uid=uid)
    runs = read_runs(store, parent) if parent else []
    found = compare(
        trial_records(study),
        runs,
        metric=OBJECTIVES[study.user_attrs["objective"]].metric,
        is_driver_alive=_is_searched(root, study.study_name, url),
    )
    return [*found, *_lacking(missing_trainings(store, parent, _confirmed(root, name, study)))]


def repair_study(
    root: Path, dataset: str, *, name: str, study: Study, url: str = AUTO
) -> list[Difference]:
    """Makes MLflow equal to a study; returns what differed.

    Args:
        root: The repository.
        dataset: Names the experiment.
        name: Of the study, below `studies`.
        study: Optuna's.
        url: `search.storage`.

    Raises:
        StudyError: If the study is being searched.
    """
    from pipeline.records.mirror.reconcile import (
        find_parent,
        missing_trainings,
        restore_trainings,
    )
    from pipeline.records.mirror.runs import StudyRuns

    with study_lock(root, study.study_name, storage=open_storage(root, url)):
        store, attrs = open_store(root), study.user_attrs
        uid = mirror_uid(root, attrs["study_uid"], url)
        parent = find_parent(store, store.experiment(dataset), study_uid=uid)
        status = parent.run.info.status if parent else "FINISHED"
        runs = StudyRuns.open(
            root,
            dataset=dataset,
            study=name,
            study_name=study.study_name,
            study_uid=uid,
            tags={key: attrs[key] for key in ("objective", "identity")},
            params={},
        )
        trials = trial_records(study)
        found = runs.reconcile(trials, is_thorough=True)
        confirmed = _confirmed(root, name, study)
        found += _lacking(missing_trainings(runs.store, runs.parent, confirmed))
        restore_trainings(runs, confirmed)
        runs.present(trials)
        exported = exported_study(root, name)
        # What was exported may be of an earlier study of this name.
        if exported is not None and exported.study_uid == attrs["study_uid"]:
            runs.log_artifacts(root / "results" / name, root / PLAN_FILE)
            show_figures([exported], root=root)
        # Nobody is at work here, so a parent that says RUNNING was left by a killed process.
        runs.close("KILLED" if status == "RUNNING" else status)
    return found


def _confirmed(root: Path, name: str, study: Study) -> Sequence[TrialRecord]:
    """Returns the trainings of the confirmation of a study's trials, if there is one."""
    exported, record = exported_study(root, name), confirmation_of(root, name)
    if exported is None or exported.study_uid != study.user_attrs["study_uid"] or record is None:
        return ()
    return record.trials if belongs(record, exported, root=root) else ()


def _lacking(trainings: Sequence[TrialRecord]) -> list[Difference]:
    from pipeline.records.mirror.differences import Difference

    return [
        Difference(
            number=one.number, kind="confirmation", expected=one.state, found="no finished run"
        )
        for one in trainings
    ]


def _is_searched(root: Path, study_name: str, url: str) -> bool:
    try:
        with study_lock(root, study_name, storage=open_storage(root, url)):
            return False
    except StudyError:
        return True


def _has_runs(root: Path) -> bool:
    file = sqlite_file(tracking_uri(root))
    return file is None or file.exists()
