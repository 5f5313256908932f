"""Rebuilds studies, runs and the registered version from what DVC holds, after `dvc pull`.

Run: python -m pipeline restore. What is there already is left as it is; nothing is trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import load_section, study_bases
from pipeline.errors import StudyError
from pipeline.plan_record import PLAN_FILE
from pipeline.plural import plural
from pipeline.processes import num_cores
from pipeline.records.lock import study_lock
from pipeline.records.model_registry.candidate import load_candidate
from pipeline.records.restoring import restore_study
from pipeline.records.storage import open_storage
from pipeline.search.params import load_study
from pipeline.search.queue import retire
from pipeline.search.sections import SearchParams
from pipeline.split_record import SplitRecord, find_split
from pipeline.stages import register
from pipeline.stages.report import show_figures
from pipeline.studies.described import settled_search
from pipeline.studies.opened import open_runs
from pipeline.trials.confirmation import ConfirmationRecord, belongs, confirmation_of
from pipeline.trials.registration import registration_of
from pipeline.trials.study import StudyRecord, exported_study
from pipeline.workspace import study_file, write_stamp

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.records.mirror.store import Store
    from pipeline.records.model_registry.versions import Candidate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command takes none."""


def main(_: argparse.Namespace) -> int:
    """Restores every study of params.yaml, then the registered version; a line for each.

    Returns:
        0 if the stores hold now what DVC holds; 1 if they hold something else, which was left.

    Raises:
        ConfigError: If params.yaml or a store cannot be used.
        StudyError: If nothing was pulled, or a study is being searched.
    """
    from pipeline.records.mirror.store import open_store

    root, names = Path.cwd(), list(study_bases())
    split = find_split(root)
    exported = {name: exported_study(root, name) for name in names}
    if split is None or not any(exported.values()):
        raise StudyError(
            "There must be data/split.json and results/STUDY/study.json to restore from. "
            "Run `dvc pull` first, or `dvc repro` to make them."
        )
    store, params = open_store(root), load_section(SearchParams, "search")
    storage = open_storage(root, params.storage)
    is_as_pulled = True
    for name, study in exported.items():
        if study is None:
            print(f"{name}: there is no {study_file(Path(), name)}")
            continue
        with study_lock(root, study.study_name, storage=storage):
            restored = restore_study(root, storage, study, retire=retire)
            if restored.study is None:
                print(f"{name}: left as it is: {restored.conflict}")
                is_as_pulled = False
                continue
            verb = "restored" if restored.is_new else "was there already"
            print(f"{name}: study of {plural(len(study.trials), 'trial')} {verb}")
            _restore_runs(store, name, restored.study, study, split=split, params=params)
    return 0 if _restore_version(store, names) and is_as_pulled else 1


def _restore_runs(
    store: Store,
    name: str,
    study: Study,
    exported: StudyRecord,
    *,
    split: SplitRecord,
    params: SearchParams,
) -> None:
    from pipeline.records.mirror.reconcile import restore_trainings

    root, trials = store.root, exported.trials
    record = confirmation_of(root, name)
    if record is not None and not belongs(record, exported, root=root):
        print(f"{name}: confirm.json is of another study or model; `dvc repro` makes it anew")
        record = None
    if not _is_mirrored(store, exported, record, url=params.storage):
        own, space = load_study(name)
        same = params.model_copy(update={"objective": exported.objective})
        same = settled_search(same, own.base, space, split, root=root)
        with open_runs(study, same, name=name, base=own.base, split=split, root=root) as runs:
            num_restored = len(runs.reconcile(trials, is_thorough=True))
            print(f"{name}: {plural(num_restored, 'run')} restored")
            runs.log_artifacts(root / "results" / name, root / PLAN_FILE)
            if record is not None:
                count = restore_trainings(runs, record.trials)
                print(f"{name}: {count} confirmation runs restored")
            runs.present(trials)
        show_figures([exported], root=root)
    write_stamp(root, "search", exported.stamp, study=name)
    if record is not None:
        write_stamp(root, "confirm", record.stamp, study=name)


def _is_mirrored(
    store: Store, exported: StudyRecord, record: ConfirmationRecord | None, *, url: str
) -> bool:
    """Whether MLflow holds every trial and every training already, each as it should be."""
    from pipeline.evaluation.objectives import OBJECTIVES
    from pipeline.records.mirror.differences import compare
    from pipeline.records.mirror.presentation import additions
    from pipeline.records.mirror.reconcile import find_parent, missing_trainings, read_runs
    from pipeline.records.mirror.store import mirror_uid

    experiment = store.experiment(exported.dataset)
    uid = mirror_uid(store.root, exported.study_uid, url)
    parent = find_parent(store, experiment, study_uid=uid)
    if parent is None or (record is not None and missing_trainings(store, parent, record.trials)):
        return False
    metric = OBJECTIVES[exported.objective].metric
    differences = compare(exported.trials, read_runs(store, parent), metric=metric)
    return not differences and not additions(store, parent, exported.trials)


def _restore_version(store: Store, names: list[str]) -> bool:
    """Restores the version that registration.json tells of; False if it tells of another model."""
    from pipeline.records.model_registry.registration import is_registered

    record = registration_of(store.root)
    if record is None:
        return True
    if is_registered(store, record):
        print(f"register: {record.registered_model} version {record.version} is there")
    else:
        candidate = _candidate(record.study, names, root=store.root)
        if candidate is None or not register.is_of(record, candidate):
            print("register: registration.json is of another model; `dvc repro` registers anew")
            return False
        restored = register.restore_version(store, candidate, record)
        print(f"register: {restored.registered_model} version {restored.version} restored")
    write_stamp(store.root, "register", record.stamp)
    return True


def _candidate(study: str, names: list[str], *, root: Path) -> Candidate | None:
    from pipeline.training.devices import configure_tensorflow

    found = confirmation_of(root, study)
    if study not in names or found is None or not (root / "models" / f"{study}.keras").is_file():
        return None
    configure_tensorflow(num_threads=num_cores())
    return load_candidate(study, found, root=root)
