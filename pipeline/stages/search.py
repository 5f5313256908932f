"""Stage `search@STUDY`: data/features/BASE, data/train.npz -> results/STUDY/study.json.

Run: python -m pipeline search STUDY
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from pipeline.config import load_section
from pipeline.database_addresses import without_password
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.files import read_json
from pipeline.planning.plan import PLAN_FILE
from pipeline.tracking.store import mirror_uid, open_store
from pipeline.training.data import DataReference
from pipeline.tuning import results
from pipeline.tuning.cut_roles import with_named_cuts
from pipeline.tuning.driver import Driver
from pipeline.tuning.executors.build import build_executor
from pipeline.tuning.identity import Identity, first_trials, study_identity
from pipeline.tuning.lock import study_lock
from pipeline.tuning.params import SearchParams, StudyPlan, load_study, study_settings
from pipeline.tuning.plan import SearchPlan
from pipeline.tuning.progress import Progress
from pipeline.tuning.retries import close_orphans
from pipeline.tuning.space import Setting
from pipeline.tuning.storage import open_storage
from pipeline.tuning.study import (
    TrialDict,
    best_trial,
    enqueue_missing,
    known_uids,
    num_finished,
    open_study,
    study_attrs,
    trial_dicts,
)
from pipeline.workspace import write_stamp

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.tracking.runs import StudyRuns
    from pipeline.tuning.recorder import Recorder

logger = logging.getLogger(__name__)


def run(name: str, plan: StudyPlan, params: SearchParams, *, root: Path) -> None:
    """Searches until the study holds `search.trials` finished trials, then exports it.

    Raises:
        ConfigError: If a store cannot be used; said before anything is trained.
        DataIntegrityError: If an earlier stage's file is missing.
        StudyError: If another process searches this study, or trials keep failing.
    """
    split = read_json(root / "data/split.json")
    features = root / "data/features" / plan.base
    manifest = read_json(features / "manifest.json")
    settings = study_settings(plan, params, manifest["cuts"])
    identity = study_identity(plan, params, settings=settings, split=split, manifest=manifest)
    study_name = f"{split['dataset']}-{name}"
    storage = open_storage(root, params.storage)
    data = DataReference(features=str(features), train_file=str(root / "data/train.npz"))
    folder = root / "results" / name
    # First, so that a tracking store which cannot be used leaves the study as it is.
    open_store(root).close()
    with study_lock(root, study_name, storage=storage):
        study = open_study(
            storage,
            name=study_name,
            identity=identity.whole,
            direction=OBJECTIVES[params.objective].direction,
            begin=_beginning(folder, identity, plan, settings),
            attrs=_attrs(root, folder, identity, params, dataset=split["dataset"]),
        )
        study.pruner = params.pruner.build(params.epochs)
        queue = with_named_cuts(plan.enqueue, manifest["cuts"], settings, plan.defaults)
        _put_in_order(study, queue, params)
        with open_runs(study, params, name=name, plan=plan, split=split, root=root) as runs:
            runs.close_abandoned(
                [mirror_uid(root, uid, params.storage) for uid in known_uids(storage)]
            )
            leave = partial(
                results.leave,
                *(study, folder, name),
                dataset=split["dataset"],
                params=params,
                settings=settings,
            )
            with (
                _recording(runs, study, params) as recorder,
                results.saved_from_loss(study, storage, leave, params=params, root=root),
            ):
                _search(study, params, plan, settings=settings, data=data, recorder=recorder)
                # In the block: what is found is written even if the tracking store stays away.
                exported = leave()
            runs.log_artifacts(folder, root / PLAN_FILE)
    write_stamp(root, "search", exported, study=name)
    _log_best(exported)


def _log_best(exported: Mapping[str, Any]) -> None:
    best = exported["trials"][exported["best_number"]]
    logger.info("best: trial %d, %s %.4f", best["number"], exported["objective"], best["value"])


def _beginning(
    folder: Path, identity: Identity, plan: StudyPlan, settings: Mapping[str, Setting]
) -> Callable[[Study | None], list[TrialDict]]:
    def begin(previous: Study | None) -> list[TrialDict]:
        exported = folder / "study.json"
        return first_trials(exported, previous, identity, settings=settings, defaults=plan.defaults)

    return begin


def _attrs(
    root: Path, folder: Path, identity: Identity, params: SearchParams, *, dataset: str
) -> dict[str, Any]:
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
def _recording(runs: StudyRuns, study: Study, params: SearchParams) -> Iterator[Recorder]:
    """Gives what mirrors trials to MLflow, which equals the study before and, as told, after."""
    from pipeline.tracking.spool import Spool

    spool = Spool(runs, deadline=_deadline(params))
    try:
        with spool:
            runs.reconcile(trial_dicts(study))
            yield spool
    except (KeyboardInterrupt, SystemExit):
        # What an interrupt came between is put right at once, not by the next search.
        if not spool.num_waiting:
            runs.settle(trial_dicts(study))
        raise


def _deadline(params: SearchParams) -> float | None:
    """Returns when `search.timeout` is over, in seconds of `time.time`."""
    # The contract is about the stage, and starting Python and opening the stores is part of it.
    return None if params.timeout is None else psutil.Process().create_time() + params.timeout


def _put_in_order(study: Study, queue: list[dict[str, Any]], params: SearchParams) -> None:
    enqueue_missing(study, queue)
    orphans = close_orphans(study, max_retries=params.max_retries, reason="the search was killed")
    if orphans:
        logger.info("trials %s were cut off and are tried again", orphans)


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
    from pipeline.tracking.lineage import revision_tags
    from pipeline.tracking.runs import StudyRuns

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


def _search(
    study: Study,
    params: SearchParams,
    plan: StudyPlan,
    *,
    settings: Mapping[str, Setting],
    data: DataReference,
    recorder: Recorder,
) -> None:
    # What stopped an earlier search is no news of this one.
    _note_missing(study, 0)
    progress = _progress(study, params)
    logger.info("%s: %s", study.study_name, progress.line())
    if num_finished(trial_dicts(study)) >= params.trials:
        return
    with build_executor(params) as executor:
        missing = Driver(
            study,
            _plan(params, plan, settings),
            OBJECTIVES[params.objective],
            executor=executor,
            recorder=recorder,
            data=data,
            progress=progress,
        ).run()
    progress.close()
    _note_missing(study, missing)


def _progress(study: Study, params: SearchParams) -> Progress:
    objective = OBJECTIVES[params.objective]
    trials = trial_dicts(study)
    best = best_trial(trials, objective.direction)
    return Progress(
        params.trials,
        maximize=objective.direction == "maximize",
        states=[trial["state"] for trial in trials],
        best=best["value"] if best else None,
    )


def _plan(params: SearchParams, plan: StudyPlan, settings: Mapping[str, Setting]) -> SearchPlan:
    deadline = _deadline(params)
    return SearchPlan(
        settings=settings,
        defaults=plan.defaults,
        objective=params.objective,
        target=params.trials,
        epochs=params.epochs,
        seed=params.seed,
        sampler=params.sampler,
        max_retries=params.max_retries,
        max_failures=params.max_failures,
        reuse=params.duplicates == "reuse",
        limit_seconds=None if deadline is None else max(0.0, deadline - time.time()),
        rung_epochs=params.pruner.first_judgement(params.epochs),
    )


def _note_missing(study: Study, missing: int) -> None:
    """Leaves word of a target that was not reached, for `status`."""
    if missing:
        logger.warning(
            "%s: search.timeout is over and %d trials are missing; `dvc repro -f search@...` "
            "continues",
            study.study_name,
            missing,
        )
        at = datetime.now(UTC).isoformat(timespec="seconds")
        study.set_user_attr("stopped", {"reason": "timeout", "missing": missing, "at": at})
    elif study.user_attrs.get("stopped"):
        study.set_user_attr("stopped", None)


def main(name: str) -> None:
    """Runs the stage for the study `name` of `params.yaml`."""
    run(name, load_study(name), load_section(SearchParams, "search"), root=Path.cwd())
