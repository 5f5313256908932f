"""A study of `params.yaml` with what belongs to it: first trials, runs in MLflow, its files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.clock import read_budget
from pipeline.database_addresses import without_password
from pipeline.errors import StudyError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.open_databases import DatabaseLostError, last_look
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.store import mirror_uid
from pipeline.records.studies import open_study, study_attrs, trial_records
from pipeline.search.cut_roles import with_named_cuts
from pipeline.search.pruners import build_pruner
from pipeline.search.queue import close_orphans, enqueue_missing, retire
from pipeline.search.sections import SearchParams
from pipeline.search.warm_start import first_trials
from pipeline.split_record import SplitRecord
from pipeline.studies.described import DescribedStudy
from pipeline.trials.recorder import Recorder
from pipeline.trials.study import StudyRecord, exported_study, write_study

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

logger = logging.getLogger(__name__)


def open_runs(
    study: Study,
    params: SearchParams,
    *,
    name: str,
    base: str,
    split: SplitRecord,
    root: Path,
) -> StudyRuns:
    """Opens a study's runs in MLflow, its parent with everything that is known of the study.

    Args:
        study: Optuna's.
        params: Section `search`.
        name: Of the study, below `studies`.
        base: What its features are of: a key of `embed.bases`, or `none`.
        split: The data set and its division.
        root: The repository.

    Raises:
        ConfigError: If the store cannot be used.
    """
    from pipeline.records.lineage import revision_tags
    from pipeline.records.mirror.runs import StudyRuns

    shown = {**params.model_dump(), "storage": without_password(params.storage)}
    runs = StudyRuns.open(
        root,
        dataset=split.dataset,
        study=name,
        study_name=study.study_name,
        study_uid=mirror_uid(root, study.user_attrs["study_uid"], params.storage),
        tags={
            **revision_tags(root),
            "objective": params.objective,
            "identity": study.user_attrs["identity"],
        },
        params={"base": base, **_flat("search", shown)},
    )
    runs.log_inputs(split)
    return runs


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        where = f"{prefix}.{key}"
        flat |= _flat(where, value) if isinstance(value, dict) else {where: value}
    return flat


def opened(described: DescribedStudy, storage: BaseStorage, *, root: Path) -> Study:
    """Opens a study for a search, making it if it is new, and puts it in order.

    What a killed search left is tried again, and the queue of params.yaml waits in it. Only for who
    holds the study's lock.

    Args:
        described: The study.
        storage: The study store.
        root: The repository; `results/STUDY/study.json` in it may hold trials to begin with, and
            with the same identity and data it names the uid that the study goes on under.
    """
    params, dataset = described.search, described.split.dataset
    exported = exported_study(root, described.name)
    # Data that got another name begin a study of that name with the same trials: two studies.
    is_same = exported is not None and (
        (exported.identity, exported.dataset) == (described.identity, dataset)
    )
    attrs = study_attrs(
        root,
        dataset=dataset,
        objective=params.objective,
        exported=exported if is_same else None,
    )
    study = open_study(
        storage,
        retire=retire,
        name=described.study_name,
        identity=described.identity,
        direction=OBJECTIVES[params.objective].direction,
        begin=lambda previous: first_trials(exported, previous, described.hashes, described.space),
        attrs={**attrs, "comparable": described.hashes.comparable},
    )
    has_rungs = params.num_rungs > 1 or any(trial.share < 1 for trial in trial_records(study))
    study.pruner = build_pruner(params.pruner, epochs=params.num_epochs, has_rungs=has_rungs)
    if described.params.space.get("unfreeze", 0) != 0 and not described.space.can_unfreeze:
        logger.info("no cut was embedded that phase 2 could start from: unfreeze is 0")
    enqueue_missing(
        study, with_named_cuts(described.params.enqueue, described.cuts, described.space)
    )
    orphans = close_orphans(study, max_retries=params.max_retries, reason="the search was killed")
    if orphans:
        logger.info("trials %s were cut off and are tried again", orphans)
    return study


@contextmanager
def recording(runs: StudyRuns, study: Study, ends: float | None) -> Iterator[Recorder]:
    """Gives what mirrors trials to MLflow, which equals the study before and, as told, after.

    Args:
        runs: Of the study.
        study: Optuna's.
        ends: When the search must have ended, in seconds of `time.time`, or None.
    """
    from pipeline.records.mirror.thread import Mirror

    mirror = Mirror(runs, deadline=ends)
    try:
        with mirror:
            runs.reconcile(trial_records(study))
            yield mirror
    except (KeyboardInterrupt, SystemExit):
        # What an interrupt came between is put right at once, not by the next search.
        if not mirror.num_waiting:
            runs.settle(trial_records(study))
        raise


def leave(
    study: Study, described: DescribedStudy, *, root: Path, has_ended: bool = True
) -> StudyRecord:
    """Writes a study as `study.json`, `best.json` and `trials.csv`, and returns its record.

    Args:
        study: Optuna's.
        described: What it is in params.yaml.
        root: The repository; the files lie in its `results/STUDY`.
        has_ended: Whether it had all of its time.

    Raises:
        StudyError: If no trial ran to its end.
    """
    objective = described.search.objective
    record = StudyRecord(
        study_name=study.study_name,
        study=described.name,
        dataset=described.split.dataset,
        identity=study.user_attrs["identity"],
        objective=objective,
        direction=OBJECTIVES[objective].direction,
        target=described.search.target,
        trials=trial_records(study),
        space=described.space.describe().searched,
        study_uid=study.user_attrs["study_uid"],
        comparable=study.user_attrs["comparable"],
        budget_seconds=read_budget() if has_ended and described.search.target is None else None,
    )
    write_study(root, record)
    return record


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
