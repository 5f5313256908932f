"""The Optuna study as a record: opened, archived, exported, imported and put in order.

`study.json` is the export: everything that is needed to build the study again elsewhere. Only here
a trial of Optuna's becomes a record, and the other way round.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.records.storage import rename_study
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import EarlierStudy, StudyRecord, archived_name
from pipeline.workspace import checkout_name

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from pipeline.trials.record import State

logger = logging.getLogger(__name__)

# Ends the name of a study that is being built; nobody reads one.
DRAFT = ".draft"


def open_study(
    storage: BaseStorage,
    *,
    name: str,
    identity: str,
    direction: str,
    retire: Callable[[Study], object],
    begin: Callable[[EarlierStudy | None], Sequence[TrialRecord]] = lambda previous: (),
    attrs: Mapping[str, str] | None = None,
) -> Study:
    """Opens the study `name` with this identity; one with another identity is put aside.

    What is put aside stays in the store as `NAME-HASH`, with the first eight digits of its own
    identity, so that `optuna.load_study(study_name=name)` always finds the current one. A new study
    gets its name when it is whole, so that a kill leaves either none or all of its first trials.

    Args:
        storage: The study store.
        name: As a user would guess it.
        identity: Hash of what makes trials comparable.
        direction: "maximize" or "minimize".
        retire: Closes what a killed search left RUNNING in a study that is put aside; in this
            project `search.queue.retire`.
        begin: Given the study that had the name until now, if any, returns the trials that a new
            one begins with.
        attrs: What a new one says of itself, as from `study_attrs`.
    """
    import optuna

    names = optuna.get_all_study_names(storage)
    current = optuna.load_study(study_name=name, storage=storage) if name in names else None
    if current is not None and current.user_attrs.get("identity") == identity:
        return current
    coming = f"{name}-{identity[:8]}"
    if coming not in names:
        kept = {"study_uid": uuid.uuid4().hex, **(attrs or {}), "identity": identity}
        _build(
            storage,
            coming,
            direction=direction,
            attrs=kept,
            trials=begin(None if current is None else earlier_study(current)),
        )
    if current is not None:
        # Nobody comes back to close what a killed search of it left RUNNING.
        retire(current)
        aside = _aside(current)
        rename_study(storage, name, aside)
        logger.info(
            "%s is a new study: what its trials depend on has changed; %s stays", name, aside
        )
        _warn_of_others(current, aside, here=(attrs or {}).get("made_in"))
    rename_study(storage, coming, name)
    return optuna.load_study(study_name=name, storage=storage)


def _aside(study: Study) -> str:
    return archived_name(study.study_name, str(study.user_attrs.get("identity", "unfinished")))


def earlier_study(study: Study) -> EarlierStudy:
    """Returns what another study that gets its name may begin with."""
    return EarlierStudy(
        name=_aside(study),
        comparable=study.user_attrs.get("comparable"),
        trials=trial_records(study),
    )


def _warn_of_others(study: Study, aside: str, *, here: str | None) -> None:
    made_in = study.user_attrs.get("made_in")
    if here is not None and made_in not in (None, here):
        logger.warning(
            "%s was made in %s; if that is another project, set fetch.name here", aside, made_in
        )


def study_attrs(
    root: Path, *, dataset: str, objective: str, exported: StudyRecord | None
) -> dict[str, str]:
    """Returns what a new study says of itself, besides its identity.

    Args:
        root: The repository.
        dataset: What it learns from; its name alone does not say where that ends.
        objective: A key of `OBJECTIVES`.
        exported: The `study.json` that it is built from; None where it begins anew.
    """
    attrs = {"dataset": dataset, "objective": objective, "made_in": checkout_name(root)}
    if exported is None:
        return attrs
    kept = {"study_uid": exported.study_uid, "comparable": exported.comparable}
    return attrs | {name: text for name, text in kept.items() if text}


def _build(
    storage: BaseStorage,
    name: str,
    *,
    direction: str,
    attrs: Mapping[str, str],
    trials: Sequence[TrialRecord],
) -> None:
    import optuna

    draft = f"{name}{DRAFT}"
    if draft in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=draft, storage=storage)
    study = optuna.create_study(storage=storage, study_name=draft, direction=direction)
    for key, content in attrs.items():
        study.set_user_attr(key, content)
    import_trials(study, trials)
    rename_study(storage, draft, name)


def known_uids(storage: BaseStorage) -> dict[str, str]:
    """Returns the uids of all studies of a store with their names: `study_uid` -> `study_name`."""
    studies = {s.study_name: s.user_attrs.get("study_uid") for s in storage.get_all_studies()}
    return {uid: name for name, uid in studies.items() if uid and not name.endswith(DRAFT)}


def trial_record(trial: FrozenTrial) -> TrialRecord:
    """Returns a trial of Optuna's with all that it holds."""
    from optuna.distributions import distribution_to_json

    state, attributes = cast("State", trial.state.name), dict(trial.user_attrs)
    return TrialRecord(
        number=trial.number,
        state=state,
        value=trial.value if state == "COMPLETE" else attributes.get("value"),
        hyperparameters=attributes.get("hyperparameters", {}),
        intermediate_values=dict(sorted(trial.intermediate_values.items())),
        params=dict(trial.params),
        distributions={
            name: json.loads(distribution_to_json(distribution))
            for name, distribution in trial.distributions.items()
        },
        attributes=attributes,
        system_attributes=dict(trial.system_attrs),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
    )


def trial_records(study: Study) -> list[TrialRecord]:
    """Returns every trial of a study in the order of their numbers."""
    return [trial_record(trial) for trial in study.get_trials(deepcopy=False)]


def stored_trials(storage: BaseStorage, exported: StudyRecord) -> Sequence[TrialRecord]:
    """Returns the trials of a study as they are by now, under whatever name it is kept.

    Args:
        storage: The study store.
        exported: Its `study.json`, which holds its trials if the store has lost the study.
    """
    import optuna

    name = known_uids(storage).get(exported.study_uid)
    if name is None:
        return exported.trials
    return trial_records(optuna.load_study(study_name=name, storage=storage))


def import_trials(study: Study, trials: Iterable[TrialRecord]) -> None:
    """Adds trials that were exported elsewhere, in order, with all that they held."""
    from optuna.distributions import json_to_distribution
    from optuna.trial import FrozenTrial, TrialState

    for trial in trials:
        frozen = FrozenTrial(
            number=trial.number,
            trial_id=-1,
            state=TrialState[trial.state],
            value=trial.value if trial.state == "COMPLETE" else None,
            values=None,
            datetime_start=trial.started,
            datetime_complete=trial.ended,
            params=dict(trial.params),
            distributions={
                name: json_to_distribution(json.dumps(content))
                for name, content in trial.distributions.items()
            },
            user_attrs=dict(trial.attributes),
            system_attrs=dict(trial.system_attributes),
            intermediate_values=dict(trial.intermediate_values),
        )
        study.add_trial(frozen)


def find_study(storage: BaseStorage, study_name: str) -> Study | None:
    """Returns a study of the store by its name, or None."""
    import optuna

    if study_name not in optuna.get_all_study_names(storage):
        return None
    return optuna.load_study(study_name=study_name, storage=storage)
