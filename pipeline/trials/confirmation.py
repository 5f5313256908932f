"""What `confirm` found out about the best trials of a study: `results/STUDY/confirm.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from pipeline.files import read_json, sha256_file, write_json
from pipeline.hyperparameter import Hyperparameters
from pipeline.plural import plural
from pipeline.trials.candidate import CandidateRecord
from pipeline.trials.exported import ExportRecord
from pipeline.trials.record import Epoch, TrialRecord, as_record
from pipeline.trials.study import StudyRecord
from pipeline.workspace import confirmation_file, confirmed_answers_file


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """One training that is over; with its candidate's hyperparameters enough to write its run.

    Attributes:
        uid: Names it, in every store.
        number: Number of the trial in the search that its configuration comes from.
        seed: Root of what was drawn in it.
        attempt: How many were lost before it, >= 0.
        outcome: As `TrialResult.outcome`.
        value: The objective on the validation part; None if it is not finite.
        metrics: Measured at the end.
        epochs: All of them, in order.
        start_ms: When it began, milliseconds since 1970.
        end_ms: When it ended, likewise.
    """

    uid: str
    number: int
    seed: int
    attempt: int
    outcome: str
    value: float | None
    metrics: Mapping[str, float]
    epochs: Sequence[Epoch]
    start_ms: int
    end_ms: int

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads an entry of `trainings`."""
        epochs = [Epoch(**epoch) for epoch in content["epochs"]]
        return as_record(cls, content, epochs=epochs)

    def as_trial(self, hyperparameters: Hyperparameters) -> TrialRecord:
        """Returns it as a complete trial, whose run is written as any other's."""
        names = ("seed", "attempt", "outcome", "epochs", "metrics")
        content = asdict(self)
        return TrialRecord(
            number=self.number,
            state="COMPLETE",
            value=self.value,
            hyperparameters=hyperparameters,
            attributes={"trial_uid": self.uid, **{name: content[name] for name in names}},
            started=datetime.fromtimestamp(self.start_ms / 1000, UTC),
            ended=datetime.fromtimestamp(self.end_ms / 1000, UTC),
        )


@dataclass(frozen=True, kw_only=True)
class ConfirmationRecord:
    """A confirmation, as `confirm.json` holds it.

    Attributes:
        study: Name of the study below `studies` in params.yaml.
        study_name: As Optuna calls it.
        identity: As in the study's record; empty in early releases.
        dataset: What was learned from.
        objective: A key of `OBJECTIVES`.
        base: Name of the base; `none` of pixels.
        base_source: What `embed` says of where the base comes from; empty of pixels and in early
            releases.
        code_sha256: SHA-256 of the code that the stage ran.
        part: What it was judged on, `confirmation`.
        n: Number of images in that part.
        top: Configurations that were asked for, `confirm.top`; auto: those there was time for.
        seeds: Trainings of each, `confirm.seeds`; auto likewise.
        epochs: Most epochs of a training.
        candidates: What each configuration reached, in the order of their ranks in the search.
        winner_number: Of the candidates that are tied with the best mean, the smallest's number.
        metrics: The exported model's on the confirmation part; empty in early releases.
        exported: The model file.
        trainings: All of them, in the order that they were planned in; none in early releases.
        left_out: Hyperparameters, by trial number, of configurations of which a training diverged
            before it had an epoch to keep.
    """

    study: str
    study_name: str
    dataset: str
    objective: str
    base: str
    part: str
    n: int
    candidates: Sequence[CandidateRecord]
    winner_number: int
    exported: ExportRecord
    metrics: Mapping[str, float] = field(default_factory=dict)
    trainings: Sequence[TrainingRecord] = ()
    identity: str = ""
    code_sha256: str = ""
    base_source: Mapping[str, object] = field(default_factory=dict)
    left_out: Mapping[int, Hyperparameters] = field(default_factory=dict)
    top: int | str = 0
    seeds: int | str = 0
    epochs: int = 0

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the content of `confirm.json`."""
        winner = content["winner"]
        return as_record(
            cls,
            content,
            candidates=[CandidateRecord.from_json(one) for one in content["candidates"]],
            winner_number=winner["number"],
            metrics=winner.get("metrics", {}),
            exported=ExportRecord.from_json(content["exported"]),
            trainings=[TrainingRecord.from_json(one) for one in content.get("trainings", [])],
            left_out={int(n): values for n, values in content.get("left_out", {}).items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `confirm.json`."""
        content, winner = asdict(self), self.winner.to_json()
        del content["winner_number"], winner["seeds"]
        metrics = content.pop("metrics")
        if not self.left_out:
            del content["left_out"]
        for name in (
            "compared",
            "reason",
            "max_slowdown",
            "answers_sha256",
        ):  # Early releases have none, and nor has one network.
            if not content["exported"][name]:
                del content["exported"][name]
        return {
            **content,
            "candidates": [one.to_json() for one in self.candidates],
            "winner": {**winner, "n": self.n, "metrics": metrics},
        }

    @property
    def winner(self) -> CandidateRecord:
        """Of the candidates that are tied with the best mean the smallest."""
        return next(one for one in self.candidates if one.number == self.winner_number)

    @property
    def told(self) -> str:
        """Says who won, in a sentence without its end."""
        winner, others = self.winner, self.told_of_others
        measure = self.objective.removeprefix("val_")
        return (
            f"trial {winner.number} is taken, with a mean {self.part} {measure} of "
            f"{winner.mean:.4f} over {plural(winner.num_seeds, 'seed')} ({self.n} images)"
            f"{f'; {others}' if others else ''}"
        )

    @property
    def told_of_others(self) -> str:
        """Says whether the winner is better than the other candidates, and which of them diverged.

        Empty if there are none.
        """
        told = [self._told_of_standing]
        if self.left_out:
            numbers = ", ".join(map(str, self.left_out))
            plural = "s" if len(self.left_out) > 1 else ""
            told.append(f"left out, since a seed diverged: trial{plural} {numbers}")
        return "; ".join(filter(None, told))

    @property
    def _told_of_standing(self) -> str:
        others = [one for one in self.candidates if one.number != self.winner_number]
        standing, left = self.winner.standing, [one for one in others if one.standing is None]
        fewer = [str(one.number) for one in left if one.num_seeds < self.winner.num_seeds]
        behind = f"behind with fewer seeds: trial{'s' if len(fewer) > 1 else ''} {', '.join(fewer)}"
        if standing is None or not others:  # Of an early release, or alone.
            return behind if fewer else ""
        tied = [str(one.number) for one in others if one.is_tied]
        certain = standing.probability_best > 0.995  # Which two decimals would call 1.
        probability = "over 0.99" if certain else f"{standing.probability_best:.2f}"
        chance = f"its mean is the best with probability {probability}"
        chance += f" ({behind})" if fewer else ""
        if not tied:
            return chance
        if len(tied) == 1:
            return f"{chance}; tied with trial {tied[0]}, which has no fewer weights"
        return f"{chance}; tied with trials {', '.join(tied)}, none of which has fewer weights"

    @property
    def num_trainings(self) -> int:
        """How many there are, those of what was left out among them."""
        left_out = sum(one.number in self.left_out for one in self.trainings)
        return left_out + sum(one.num_seeds for one in self.candidates)

    @property
    def selection_bias(self) -> float | None:
        """What selection added to the winner's value: that of the search, less that of new seeds.

        Both on the validation part; None if one of them is missing, or if the search gave the trial
        a part of a training only.
        """
        again = [one.value for one in self.trainings if one.number == self.winner_number]
        values = [value for value in again if value is not None]
        if self.winner.search_value is None or not values or self.winner.search_share < 1:
            return None
        return self.winner.search_value - fmean(values)

    @property
    def is_timed(self) -> bool:
        """Whether the time that was left decided what was trained."""
        return "auto" in (self.top, self.seeds)

    @property
    def trials(self) -> list[TrialRecord]:
        """The trainings as trials, whose runs are written as any other's."""
        configurations = {one.number: one.hyperparameters for one in self.candidates}
        configurations.update(self.left_out)
        return [one.as_trial(configurations[one.number]) for one in self.trainings]

    @property
    def stamp(self) -> dict[str, str | int | None]:
        """What the stamp of stage `confirm` holds of it."""
        return {"identity": self.identity, "top": self.top, "seeds": self.seeds}


def read_confirmation(file: Path) -> ConfirmationRecord:
    """Reads a `confirm.json`.

    Raises:
        DataIntegrityError: If there is none yet.
    """
    return ConfirmationRecord.from_json(read_json(file))


def confirmation_of(root: Path, name: str) -> ConfirmationRecord | None:
    """Returns the confirmation of a study, or None if there is none."""
    file = confirmation_file(root, name)
    return read_confirmation(file) if file.is_file() else None


def write_confirmation(root: Path, record: ConfirmationRecord) -> None:
    """Writes `confirm.json`."""
    write_json(confirmation_file(root, record.study), record.to_json())


def has_answers(root: Path, record: ConfirmationRecord) -> bool:
    """Whether the answers of its winner's trainings are there, and are its own."""
    file = confirmed_answers_file(root, record.study)
    return file.is_file() and sha256_file(file) == record.exported.answers_sha256


def belongs(record: ConfirmationRecord, study: StudyRecord, *, root: Path) -> bool:
    """Whether a confirmation is about trials of a study, and its model file still as it was.

    Args:
        record: The confirmation; one of an early release lacks what is asked here.
        study: The study.
        root: The repository.
    """
    configurations = {trial.number: trial.hyperparameters for trial in study.trials}
    if not record.trainings or record.identity != study.identity:
        return False
    file = root / record.exported.file
    return (
        all(configurations.get(c.number) == c.hyperparameters for c in record.candidates)
        and file.is_file()
        and sha256_file(file) == record.exported.file_sha256
    )
