"""Stage `search@STUDY`: data/features/BASE, data/train.npz -> results/STUDY/study.json.

Run: python -m pipeline search STUDY
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.plan_record import PLAN_FILE
from pipeline.plural import plural
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import mirror_uid, open_store
from pipeline.records.storage import open_storage
from pipeline.records.studies import known_uids, trial_records
from pipeline.search.engine import Engine, is_over
from pipeline.search.executors.registry import build_executor, prepare_executor
from pipeline.search.progress import Progress
from pipeline.search.sections import SearchParams
from pipeline.steps import showing
from pipeline.studies.described import DescribedStudy, describe
from pipeline.studies.opened import (
    leave,
    open_runs,
    opened,
    recording,
    saved_from_loss,
)
from pipeline.studies.probing import probed_space
from pipeline.studies.timing import earliest_end, is_restored, searching
from pipeline.training.data import DataReference
from pipeline.trials.identity import of_other_code
from pipeline.trials.study import Stopped, StudyRecord
from pipeline.workspace import write_stamp

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.trials.recorder import Recorder

logger = logging.getLogger(__name__)


def run(name: str, *, root: Path) -> None:
    """Searches until the study holds `search.trials` configurations, then exports it.

    Where that is `auto`, it searches as long as `budget` leaves time.

    Args:
        name: Below `studies` in params.yaml.
        root: The repository.

    Raises:
        ConfigError: If params.yaml or a store cannot be used; said before anything is trained.
        StudyError: If an earlier stage's file is missing, another process searches this study, or
            trials keep failing.
    """
    _in_time(describe(name, root=root), root=root)


def _in_time(described: DescribedStudy, *, root: Path) -> None:
    with searching(described.name, identity=described.identity, root=root) as ends:
        _run(described, earliest_end(described.search, ends), root=root)


def _run(described: DescribedStudy, ends: float | None, *, root: Path) -> None:
    params, name = described.search, described.name
    storage = open_storage(root, params.storage)
    # First, so that a tracking store which cannot be used leaves the study as it is.
    open_store(root).close()
    with study_lock(root, described.study_name, storage=storage):
        study = opened(described, storage, root=root)
        base, split = described.params.base, described.split
        with open_runs(study, params, name=name, base=base, split=split, root=root) as runs:
            runs.close_abandoned(
                [mirror_uid(root, uid, params.storage) for uid in known_uids(storage)]
            )
            export = partial(leave, study, described, root=root)
            with (
                recording(runs, study, ends) as recorder,
                saved_from_loss(
                    study, storage, partial(export, has_ended=False), params=params, root=root
                ),
            ):
                _search(study, described, ends, recorder=recorder, root=root)
                # In the block: what is found is written even if the tracking store stays away.
                exported = export()
            runs.log_artifacts(root / "results" / name, root / PLAN_FILE)
            runs.present(exported.trials)
    write_stamp(root, "search", exported.stamp, study=name)
    _log_best(exported)


def _log_best(exported: StudyRecord) -> None:
    best = exported.best
    logger.info("best: trial %d, %s %.4f", best.number, exported.objective, best.value)


def _search(
    study: Study,
    described: DescribedStudy,
    ends: float | None,
    *,
    recorder: Recorder,
    root: Path,
) -> None:
    params = described.search
    # What stopped an earlier search is no news of this one.
    _note_missing(study, 0, name=described.name)
    progress, trials = _progress(study, params, _until(ends)), trial_records(study)
    logger.info("%s: %s", study.study_name, progress.line())
    if remark := of_other_code(trials).remark:
        logger.warning("%s: %s", study.study_name, remark)
    if is_over(study, params) or is_restored(described, root=root):
        return
    data = DataReference(
        features=str(root / "data/features" / described.params.base),
        train_file=str(root / "data/train.npz"),
    )
    with showing(progress), build_executor(params) as executor:
        space = described.space
        if params.learning_rate_probe:
            space = probed_space(study, described, data, executor)
        missing = Engine(
            study,
            space,
            params,
            # What the executor took to start is over.
            limit_seconds=_until(ends),
            executor=executor,
            recorder=recorder,
            data=data,
            progress=progress,
        ).run()
    logger.info("%s: %s", study.study_name, progress.outcome())
    if params.target is None and not progress.state.trained:
        logger.warning(
            "%s: nothing was trained, since its part of the budget is spent; a larger `budget` "
            "gives it more",
            study.study_name,
        )
    _note_missing(study, missing, name=described.name)


def _until(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - time.time())


def _progress(study: Study, params: SearchParams, limit_seconds: float | None) -> Progress:
    return Progress(
        params.target,
        direction=OBJECTIVES[params.objective].direction,
        trials=trial_records(study),
        num_rungs=params.num_rungs,
        limit_seconds=limit_seconds,
    )


def _note_missing(study: Study, missing: int, *, name: str) -> None:
    """Leaves word of a target that was not reached, for `status`."""
    if missing:
        logger.warning(
            "%s: search.timeout is over and %s missing; `dvc repro -f search@%s` goes on",
            study.study_name,
            f"{plural(missing, 'trial')} {'is' if missing == 1 else 'are'}",
            name,
        )
        at = datetime.now(UTC).isoformat(timespec="seconds")
        study.set_user_attr("stopped", asdict(Stopped("timeout", missing, at)))
    elif study.user_attrs.get("stopped"):
        study.set_user_attr("stopped", None)


def main(name: str) -> None:
    """Runs the stage for the study `name` of `params.yaml`."""
    described = describe(name, root=Path.cwd())
    prepare_executor(described.search)
    _in_time(described, root=Path.cwd())
