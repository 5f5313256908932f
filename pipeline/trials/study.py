"""What a search leaves behind: `study.json`, `best.json` and `trials.csv` below results/STUDY."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.errors import StudyError
from pipeline.files import read_json, write_json, write_whole
from pipeline.trials.health import verdict
from pipeline.trials.ranking import best_trial, num_finished
from pipeline.trials.record import TrialRecord, as_record
from pipeline.workspace import study_file


def archived_name(study_name: str, identity: str) -> str:
    """Returns what a study is called once another one has its name.

    >>> archived_name("digits-transfer", "0123456789abcdef")
    'digits-transfer-01234567'
    """
    return f"{study_name}-{identity[:8]}"


@dataclass(frozen=True, kw_only=True)
class EarlierStudy:
    """A study that had the name until now.

    Attributes:
        name: What it is called from now on, as from `archived_name`.
        comparable: As `Identity.comparable`; None where an earlier release left none.
        trials: All of it.
    """

    name: str
    comparable: str | None
    trials: Sequence[TrialRecord]


@dataclass(frozen=True)
class Stopped:
    """Why a search ended before its target; kept as the study's attribute `stopped`.

    Attributes:
        reason: `timeout`.
        missing: Finished trials that were still wanted, >= 1.
        at: When, UTC as ISO 8601.
    """

    reason: str
    missing: int
    at: str


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A whole study, as `study.json` holds it.

    Attributes:
        study_name: As Optuna calls it.
        study: Its name below `studies` in params.yaml.
        dataset: What it learned from.
        identity: Hash of what makes its trials comparable, the space included.
        objective: A key of `OBJECTIVES`.
        direction: `maximize` or `minimize`.
        target: Configurations that were wanted, `search.trials`; None: what there was time for.
        trials: All of them, in the order of their numbers.
        space: The distributions that it searched by hyperparameter, as in params.yaml.
        study_uid: What it is known by in every store; empty in early releases.
        comparable: As `Identity.comparable`; None in early releases.
        budget_seconds: The budget whose part for it has been searched; None where a target was
            reached instead.
    """

    study_name: str
    study: str
    dataset: str
    identity: str
    objective: str
    direction: str
    target: int | None
    trials: Sequence[TrialRecord]
    space: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    study_uid: str = ""
    comparable: str | None = None
    budget_seconds: float | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the content of `study.json`."""
        trials = [TrialRecord.from_json(trial) for trial in content["trials"]]
        return as_record(cls, content, trials=trials)

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `study.json`."""
        trials = [trial.to_json() for trial in self.trials]
        content = {**vars(self), "best_number": self.best.number, "trials": trials}
        if self.budget_seconds is None:
            del content["budget_seconds"]
        return content

    @property
    def best(self) -> TrialRecord:
        """The best complete trial.

        Raises:
            StudyError: If no trial ran to its end, so that there is none.
        """
        best = best_trial(self.trials, self.direction)
        if best is None and not num_finished(self.trials):
            raise StudyError(
                f"No trial of {self.study_name} ended in its time. Give it more of it."
            )
        if best is None:
            raise StudyError(
                f"No trial of {self.study_name} ran to its end: {num_finished(self.trials)} were "
                "pruned or diverged. Lower the learning rates in its space, choose a milder "
                "search.pruner, or give it more time."
            )
        return best

    @property
    def stamp(self) -> dict[str, str | int | None]:
        """What the stamp of stage `search` holds of it."""
        return {"identity": self.identity, "target": self.target}


def read_study(root: Path, name: str) -> StudyRecord:
    """Reads the record of a study.

    Raises:
        DataIntegrityError: If there is none yet.
    """
    return StudyRecord.from_json(read_json(study_file(root, name)))


def exported_study(root: Path, name: str) -> StudyRecord | None:
    """Returns the record of a study, or None if there is none."""
    return read_study(root, name) if study_file(root, name).is_file() else None


def write_study(root: Path, record: StudyRecord) -> None:
    """Writes `study.json`, `best.json` and `trials.csv`.

    Args:
        root: The repository; they lie in its `results/STUDY`.
        record: The study.

    Raises:
        StudyError: If no trial ran to its end; then nothing is written.
    """
    file, content = study_file(root, record.study), record.to_json()
    write_json(file, content)
    write_json(file.with_name("best.json"), best_of(record.best))
    _write_table(file.with_name("trials.csv"), record.trials)


def best_of(trial: TrialRecord) -> dict[str, Any]:
    """Returns what `best.json` holds of a study's best trial."""
    return {
        "number": trial.number,
        "value": trial.value,
        "hyperparameters": trial.hyperparameters,
    }


def _write_table(file: Path, trials: Sequence[TrialRecord]) -> None:
    names = list(dict.fromkeys(n for trial in trials for n in trial.hyperparameters))
    rungs = ("rung", "promoted_from") if any(trial.rung is not None for trial in trials) else ()
    columns = ["number", "state", "value", "seconds", "epochs", "health", "fit", *rungs, *names]
    with write_whole(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for trial in trials:
            found = verdict(trial)
            ailments = (found.health, found.fit)
            own = (trial.number, trial.state, trial.value, trial.seconds, len(trial.curve))
            on = [getattr(trial, name) for name in rungs]
            writer.writerow(
                [*own, *ailments, *on, *(trial.hyperparameters.get(name) for name in names)]
            )
