"""A study of `params.yaml` with what belongs to it: first trials, runs in MLflow, its files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from pipeline.database_addresses import without_password
from pipeline.errors import StudyError
from pipeline.files import read_json
from pipeline.open_databases import DatabaseLostError, last_look
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.store import mirror_uid
from pipeline.records.studies import study_attrs, trial_dicts
from pipeline.search.distributions import Setting
from pipeline.search.params import SearchParams, StudyPlan
from pipeline.search.queue import close_orphans
from pipeline.search.space import describe_space
from pipeline.search.warm_start import first_trials
from pipeline.trials.identity import Identity
from pipeline.trials.record import TrialDict
from pipeline.trials.recorder import Recorder
from pipeline.trials.study import EarlierStudy, export, write

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

logger = logging.getLogger(__name__)


def open_runs(
    study: Study,
    params: SearchParams,
    *,
    name: str,
    plan: StudyPlan,
    split: Mapping[str, Any],
    root: Path,
) -> StudyRuns:
    """Opens a study's runs in MLflow, its parent with everything that is known of the study.

    Args:
        study: Optuna's.
        params: Section `search`.
        name: Of the study, below `studies`.
        plan: Its section.
        split: `data/split.json`.
        root: The repository.

    Raises:
        ConfigError: If the store cannot be used.
    """
    from pipeline.records.lineage import revision_tags
    from pipeline.records.mirror.runs import StudyRuns

    shown = {**params.model_dump(), "storage": without_password(params.storage)}
    runs = StudyRuns.open(
        root,
        dataset=split["dataset"],
        study=name,
        study_name=study.study_name,
        study_uid=mirror_uid(root, study.user_attrs["study_uid"], params.storage),
        tags={
            **revision_tags(root),
            "objective": params.objective,
            "identity": study.user_attrs["identity"],
        },
        params={"base": plan.base, **_flat("search", shown)},
    )
    runs.log_inputs(split)
    return runs


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        where = f"{prefix}.{key}"
        flat |= _flat(where, value) if isinstance(value, dict) else {where: value}
    return flat


def beginning(
    folder: Path, identity: Identity, plan: StudyPlan, settings: Mapping[str, Setting]
) -> Callable[[EarlierStudy | None], list[TrialDict]]:
    """Returns what tells `open_study` the trials that a new study begins with.

    Args:
        folder: `results/STUDY`, whose `study.json` may hold some.
        identity: Of the new study.
        plan: Its section of params.yaml.
        settings: What it searches or fixes.
    """

    def begin(previous: EarlierStudy | None) -> list[TrialDict]:
        exported = folder / "study.json"
        return first_trials(exported, previous, identity, settings=settings, defaults=plan.defaults)

    return begin


def attrs_of(
    root: Path, folder: Path, identity: Identity, params: SearchParams, *, dataset: str
) -> dict[str, Any]:
    """Returns what a new study says of itself, in Optuna's attributes.

    Args:
        root: The repository.
        folder: `results/STUDY`: with a `study.json` of this identity and data the study goes on
            under its old uid.
        identity: Of the study.
        params: Section `search`.
        dataset: What it learns from.
    """
    exported = read_json(folder / "study.json") if (folder / "study.json").exists() else {}
    # Data that got another name begin a study of that name with the same trials: two studies.
    is_same = (exported.get("identity"), exported.get("dataset")) == (identity.whole, dataset)
    attrs = study_attrs(
        root,
        dataset=dataset,
        objective=params.objective,
        exported=exported if is_same else {},
    )
    return {**attrs, "comparable": identity.comparable}


@contextmanager
def recording(runs: StudyRuns, study: Study, params: SearchParams) -> Iterator[Recorder]:
    """Gives what mirrors trials to MLflow, which equals the study before and, as told, after."""
    from pipeline.records.mirror.thread import Mirror

    mirror = Mirror(runs, deadline=deadline(params))
    try:
        with mirror:
            runs.reconcile(trial_dicts(study))
            yield mirror
    except (KeyboardInterrupt, SystemExit):
        # What an interrupt came between is put right at once, not by the next search.
        if not mirror.num_waiting:
            runs.settle(trial_dicts(study))
        raise


def deadline(params: SearchParams) -> float | None:
    """Returns when `search.timeout` is over, in seconds of `time.time`."""
    # The contract is about the stage, and starting Python and opening the stores is part of it.
    return None if params.timeout is None else psutil.Process().create_time() + params.timeout


def leave(
    study: Study,
    folder: Path,
    name: str,
    *,
    dataset: str,
    params: SearchParams,
    settings: Mapping[str, Setting],
) -> dict[str, Any]:
    """Writes a study as `study.json`, `best.json` and `trials.csv`, and returns the first of them.

    Args:
        study: Optuna's.
        folder: `results/STUDY`.
        name: Of the study, below `studies` in params.yaml.
        dataset: What it learned from.
        params: Section `search`.
        settings: What it searched or fixed.

    Raises:
        StudyError: If no trial ran to its end.
    """
    exported = export(
        trial_dicts(study),
        study_name=study.study_name,
        attrs=study.user_attrs,
        study=name,
        dataset=dataset,
        objective=params.objective,
        target=params.trials,
        space=describe_space(settings),
    )
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
