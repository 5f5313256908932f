"""A study that was lost, built again from its `study.json`; one that is there is never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.plural import plural
from pipeline.records.studies import find_study, open_study, study_attrs, trial_records
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import StudyRecord

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What became of a study.

    Attributes:
        study: The study as the file has it; None where the store holds something else.
        is_new: Whether it was built now.
        conflict: What the store holds instead, in words; empty where it equals the file, but for
            trials that were queued since.
    """

    study: Study | None
    is_new: bool = False
    conflict: str = ""


def restore_study(
    root: Path,
    storage: BaseStorage,
    exported: StudyRecord,
    *,
    retire: Callable[[Study], object],
) -> Restored:
    """Builds a study from its export where the store has none of that name.

    Only for who holds the study's lock.

    Args:
        root: The repository.
        storage: The study store.
        exported: `study.json`.
        retire: As for `open_study`.
    """
    study = find_study(storage, exported.study_name)
    is_new = study is None
    if study is None:
        study = open_study(
            storage,
            name=exported.study_name,
            identity=exported.identity,
            direction=exported.direction,
            retire=retire,
            begin=lambda previous: exported.trials,
            attrs=study_attrs(
                root,
                dataset=exported.dataset,
                objective=exported.objective,
                exported=exported,
            ),
        )
    conflict = _conflict(study, exported)
    if conflict:
        return Restored(study=None, conflict=conflict)
    return Restored(study=study, is_new=is_new)


def _conflict(study: Study, exported: StudyRecord) -> str:
    if study.user_attrs.get("identity") != exported.identity:
        return "the store holds a study with another space, training or data"
    stored, expected = trial_records(study), exported.trials
    # What was queued since the export has no result that could differ.
    while len(stored) > len(expected) and stored[-1].state == "WAITING":
        stored.pop()
    if _plain(stored) == _plain(expected):
        return ""
    if _plain(stored[: len(expected)]) == _plain(expected):
        return f"the store holds {plural(len(stored), 'trial')}, {len(stored) - len(expected)} more"
    return f"the store holds {plural(len(stored), 'trial')}, not the {len(expected)} of the file"


def _plain(trials: Sequence[TrialRecord]) -> Any:
    from pipeline.records.retrying_storage import REQUEST  # With Optuna.

    # As in a file, where a tuple is a list.
    plain = json.loads(json.dumps([trial.to_json() for trial in trials]))
    for one in plain:
        # A server's store gives every trial that it is told of one of its own.
        one["system_attrs"].pop(REQUEST, None)
    return plain
