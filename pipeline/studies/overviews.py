"""What a study of params.yaml looks like from outside, from its store and its locks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.clock import FURTHER_SECONDS, search_share
from pipeline.errors import PipelineError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.overview import Holder, Overview, end_of, ended_since, overview, read_holder
from pipeline.records.studies import trial_records
from pipeline.search.proposals import trainings_of
from pipeline.search.rungs import Ladder, work_left
from pipeline.search.sections import SearchParams
from pipeline.studies.described import describe, lost_study, num_kept, own_study
from pipeline.trials.outlook import outlook
from pipeline.trials.pace import time_left
from pipeline.trials.ranking import num_finished
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import Stopped

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study


def look(
    root: Path,
    storage: BaseStorage | None,
    bases: Mapping[str, str],
    *,
    dataset: str,
    search: SearchParams,
) -> dict[str, Overview]:
    """Returns how far each study is, by its name.

    Args:
        root: The repository.
        storage: The study store; None where there is none yet.
        bases: The base of each study by its name below `studies`, `none` for the pixels.
        dataset: What they learn from.
        search: The section `search`.
    """
    found = {}
    for name in bases:
        further = FURTHER_SECONDS * search_share(name, bases)
        found[name] = _look(
            root, storage, name, dataset=dataset, search=search, further_seconds=further
        )
    return found


def _look(
    root: Path,
    storage: BaseStorage | None,
    name: str,
    *,
    dataset: str,
    search: SearchParams,
    further_seconds: float,
) -> Overview:
    study_name = f"{dataset}-{name}"
    study = own_study(root, storage, study_name, name=name, url=search.storage) if storage else None
    kept, unclear, settled = None, None, search
    if study is not None:
        try:
            described = describe(name, root=root)
            kept, settled = num_kept(study, described), described.search
        except PipelineError as error:  # In params.yaml as it is now, or the features are not made.
            unclear = str(error)
    holder, target = read_holder(root, study_name, search.storage), search.target
    trials = trial_records(study) if study else []
    direction = _direction(study, search)
    seen = overview(
        trials,
        target=target,
        num_missing=_num_missing(study, settled, kept),
        direction=direction,
        holder=holder,
        stopped=_stopped(study) if study else None,
        kept=kept,
    )
    # A search that has just begun has not made it yet.
    is_missing = study is None and holder is None
    # Of what the next search begins without nothing is to be said.
    is_asked = target is None and search.timeout is None and seen.holder is None and kept is None
    return replace(
        seen,
        seconds_left=_seconds_left(trials, seen.holder, settled),
        unclear=unclear,
        lost=lost_study(root, name, study_name) if is_missing else None,
        outlook=outlook(trials, direction, seconds=further_seconds) if is_asked else None,
    )


def _seconds_left(
    trials: Sequence[TrialRecord], holder: Holder | None, search: SearchParams
) -> tuple[float, float] | None:
    if holder is None or search.target is None:
        return None
    timed = [one for one in ended_since(trials, holder.began) if one.duplicate_of is None]
    found = time_left(
        [end_of(one).timestamp() for one in timed],
        [one.share for one in timed],
        began=None if holder.began is None else holder.began.timestamp(),
        now=time.time(),
        left=work_left(
            search.target,
            search.num_rungs,
            [one.share for one in trials if one.is_finished],
            num_configurations=num_finished(trials),
        ),
    )
    return None if found is None else (max(0.0, found[0]), max(0.0, found[1]))


def _num_missing(study: Study | None, search: SearchParams, kept: int | None) -> int:
    if search.target is None:
        return 0
    if study is None or kept is not None:
        return max(0, search.target - (kept or 0))
    ladder = Ladder(search.num_rungs, max_retries=search.max_retries)
    # What runs without being ended, since its search was killed, is not there.
    ended = [one for one in trainings_of(study) if one.state != "RUNNING"]
    return ladder.num_missing(ended, search.target)


def _stopped(study: Study) -> Stopped | None:
    noted = study.user_attrs.get("stopped")
    return Stopped(**noted) if noted else None


def _direction(study: Study | None, search: SearchParams) -> str:
    # That of another objective, if the trials are of other params.
    return study.direction.name.lower() if study else OBJECTIVES[search.objective].direction
