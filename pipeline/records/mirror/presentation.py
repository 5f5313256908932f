"""What makes a study easy to read in MLflow's UI: descriptions, marks, a prepared view.

All of it follows from the records. It is written at the end of a search, by `audit --repair` and by
`restore`, and what is there already is not written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.evaluation.objectives import OBJECTIVES, ObjectiveSpec
from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.expected_run import conditional_names, hyperparameter_texts
from pipeline.records.mirror.notes import (
    experiment_note,
    note_tags,
    study_note,
    training_note,
    trial_note,
)
from pipeline.records.mirror.prepared_view import page_of, prepared_view, views_of
from pipeline.records.mirror.projection import Parent
from pipeline.records.mirror.store import Store
from pipeline.trials.record import TrialRecord

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What a run lacks.

    Attributes:
        run_id: MLflow's own.
        params: Hyperparameters that do not apply to it.
        tags: Its description.
    """

    run_id: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What a study lacks in MLflow to be easy to read.

    Attributes:
        runs: Of its runs; those that lack nothing are left out.
        experiment: Tags of the experiment.
    """

    runs: Sequence[Addition]
    experiment: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.runs or self.experiment)


def additions(store: Store, parent: Parent, trials: Sequence[TrialRecord]) -> Additions:
    """Returns what a study lacks, and changes nothing.

    Args:
        store: An open store.
        parent: The study's own run.
        trials: All trials of the study.
    """
    client, run_id = store.client, parent.run.info.run_id
    own = client.get_run(run_id).data.tags
    objective, study = OBJECTIVES[own["objective"]], own["study"]
    children = store.search_runs(parent.experiment, f"tags.`mlflow.parentRunId` = '{run_id}'")
    of_trial = {
        int(run.data.tags["trial"]): run for run in children if run.data.tags.get("role") == "trial"
    }
    key = _key(study, own["study_uid"], is_shared=store.is_shared)
    view = prepared_view(study, trials, key=key, parent=run_id, objective=objective)
    note = study_note(
        study,
        trials,
        objective=objective,
        runs={number: run.info.run_id for number, run in of_trial.items()},
        page=page_of(parent.experiment, key),
        experiment=parent.experiment,
    )
    names = conditional_names(trials)
    found = [
        Addition(run_id=run_id, tags=note_tags(note, own)),
        *(
            _of_trial(of_trial[trial.number], trial, names, objective)
            for trial in trials
            if trial.number in of_trial
        ),
        *(_of_training(run) for run in children if run.data.tags.get("role") == "confirm"),
    ]
    return Additions(
        runs=[one for one in found if one.params or one.tags],
        experiment=_of_experiment(store, parent.experiment, view),
    )


def present(store: Store, parent: Parent, trials: Sequence[TrialRecord]) -> Additions:
    """Writes what a study lacks to be easy to read, and returns it.

    Args:
        store: An open store.
        parent: The study's own run.
        trials: All trials of the study.
    """
    found = additions(store, parent, trials)
    for one in found.runs:
        writer.log(store.client, one.run_id, params=one.params, tags=one.tags)
    for key, text in found.experiment.items():
        store.client.set_experiment_tag(parent.experiment, key, text)
    return found


def _of_trial(
    run: Run, trial: TrialRecord, names: Sequence[str], objective: ObjectiveSpec
) -> Addition:
    texts, tags = hyperparameter_texts(trial, names), run.data.tags
    return Addition(
        run_id=run.info.run_id,
        params={name: text for name, text in texts.items() if name not in run.data.params},
        tags=note_tags(trial_note(trial, tags["study"], objective=objective), tags),
    )


def _of_training(run: Run) -> Addition:
    tags = run.data.tags
    note = training_note(int(tags["trial"]), tags.get("seed", ""), tags["study"])
    return Addition(run_id=run.info.run_id, tags=note_tags(note, tags))


def _of_experiment(store: Store, experiment: str, view: Mapping[str, str]) -> dict[str, str]:
    found = store.client.get_experiment(experiment)
    pages = {
        study: page_of(experiment, key) for study, key in views_of({**found.tags, **view}).items()
    }
    changed = {key: text for key, text in view.items() if found.tags.get(key) != text}
    return {**changed, **note_tags(experiment_note(found.name, pages), found.tags)}


def _key(study: str, study_uid: str, *, is_shared: bool) -> str:
    # Another checkout may have a study of the same name in the same experiment.
    uid = hashlib.sha256(study_uid.encode()).hexdigest()
    return f"{study}-{uid[:8]}" if is_shared else study
