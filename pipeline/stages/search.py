"""Stage `search@STUDY`: data/features/BASE, data/train.npz -> results/STUDY/study.json.

Run: python -m pipeline search STUDY
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import load_section
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.files import read_json
from pipeline.planning.plan import PLAN_FILE
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import mirror_uid, open_store
from pipeline.records.storage import open_storage
from pipeline.records.studies import known_uids, open_study, trial_dicts
from pipeline.search.cut_roles import with_named_cuts
from pipeline.search.distributions import Setting
from pipeline.search.engine import Engine
from pipeline.search.executors.registry import build_executor
from pipeline.search.params import SearchParams, StudyPlan, load_study, study_settings
from pipeline.search.plan import SearchPlan
from pipeline.search.progress import Progress
from pipeline.search.queue import close_orphans, enqueue_missing, retire
from pipeline.studies.described import identity_of
from pipeline.studies.opened import (
    attrs_of,
    beginning,
    deadline,
    leave,
    open_runs,
    recording,
    saved_from_loss,
)
from pipeline.training.data import DataReference
from pipeline.trials.identity import of_other_code
from pipeline.trials.record import best_trial, num_finished
from pipeline.workspace import write_stamp

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.trials.recorder import Recorder

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
    identity = identity_of(plan, params, settings=settings, split=split, manifest=manifest)
    study_name = f"{split['dataset']}-{name}"
    storage = open_storage(root, params.storage)
    data = DataReference(features=str(features), train_file=str(root / "data/train.npz"))
    folder = root / "results" / name
    # First, so that a tracking store which cannot be used leaves the study as it is.
    open_store(root).close()
    with study_lock(root, study_name, storage=storage):
        study = open_study(
            storage,
            retire=retire,
            name=study_name,
            identity=identity.whole,
            direction=OBJECTIVES[params.objective].direction,
            begin=beginning(folder, identity, plan, settings),
            attrs=attrs_of(root, folder, identity, params, dataset=split["dataset"]),
        )
        study.pruner = params.pruner.build(params.epochs)
        queue = with_named_cuts(plan.enqueue, manifest["cuts"], settings, plan.defaults)
        _put_in_order(study, queue, params)
        with open_runs(study, params, name=name, plan=plan, split=split, root=root) as runs:
            runs.close_abandoned(
                [mirror_uid(root, uid, params.storage) for uid in known_uids(storage)]
            )
            export = partial(
                leave,
                *(study, folder, name),
                dataset=split["dataset"],
                params=params,
                settings=settings,
            )
            with (
                recording(runs, study, params) as recorder,
                saved_from_loss(study, storage, export, params=params, root=root),
            ):
                _search(study, params, plan, settings=settings, data=data, recorder=recorder)
                # In the block: what is found is written even if the tracking store stays away.
                exported = export()
            runs.log_artifacts(folder, root / PLAN_FILE)
    write_stamp(root, "search", exported, study=name)
    _log_best(exported)


def _log_best(exported: Mapping[str, Any]) -> None:
    best = exported["trials"][exported["best_number"]]
    logger.info("best: trial %d, %s %.4f", best["number"], exported["objective"], best["value"])


def _put_in_order(study: Study, queue: list[dict[str, Any]], params: SearchParams) -> None:
    enqueue_missing(study, queue)
    orphans = close_orphans(study, max_retries=params.max_retries, reason="the search was killed")
    if orphans:
        logger.info("trials %s were cut off and are tried again", orphans)


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
    progress, trials = _progress(study, params), trial_dicts(study)
    logger.info("%s: %s", study.study_name, progress.line())
    if remark := of_other_code(trials).remark:
        logger.warning("%s: %s", study.study_name, remark)
    if num_finished(trials) >= params.trials:
        return
    with build_executor(params) as executor:
        missing = Engine(
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
    ends = deadline(params)
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
        limit_seconds=None if ends is None else max(0.0, ends - time.time()),
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
