"""The winner that a diagnosis is about, and the trainings that it is looked at by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.evaluation.objectives import OBJECTIVES, ObjectiveSpec
from pipeline.search.candidates import PART
from pipeline.seeds import derive_seed
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialSpec
from pipeline.trials.confirmation import ConfirmationRecord
from pipeline.trials.diagnosis import SizeRecord
from pipeline.trials.study import StudyRecord

if TYPE_CHECKING:
    from pipeline.hyperparameter import Hyperparameters


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whose winner is diagnosed.

    Attributes:
        study: Its record.
        confirmation: Likewise; its winner is the one.
        data: What it was trained on.
        epochs: Most epochs of a whole training.
        root_seed: `search.seed`, of which the seeds of the confirmation are derived.
        num_images: In the training part.
        num_classes: Of the data set.
        folder: Where trainings put their files.
    """

    study: StudyRecord
    confirmation: ConfirmationRecord
    data: DataReference
    epochs: int
    root_seed: int
    num_images: int
    num_classes: int
    folder: Path

    @property
    def objective(self) -> ObjectiveSpec:
        """What the study optimizes."""
        return OBJECTIVES[self.study.objective]

    @property
    def values(self) -> Hyperparameters:
        """The winner's hyperparameters."""
        return self.confirmation.winner.hyperparameters

    @property
    def seconds(self) -> float:
        """How long a whole training of the winner took, in the mean."""
        number = self.confirmation.winner_number
        own = [one for one in self.confirmation.trainings if one.number == number]
        taken = [
            one.metrics.get("training_seconds") or (one.end_ms - one.start_ms) / 1000 for one in own
        ]
        return max(fmean(taken), 0.1)

    def spec(
        self, name: str, position: int, *, values: Hyperparameters | None = None, share: float = 1.0
    ) -> TrialSpec:
        """Returns what to train.

        Args:
            name: Tells it from the others.
            position: Of its seed among those of the confirmation, from 0.
            values: Its hyperparameters; the winner's unless given.
            share: Of a whole training.
        """
        uid = f"{self.study.study_uid[:12]}-diagnose-{name}-{position}"
        return TrialSpec(
            uid=uid,
            hyperparameters=self.values if values is None else values,
            seed=derive_seed(self.root_seed, "confirm", position),
            epochs=self.epochs,
            objective=self.study.objective,
            share=share,
            judge=PART,
            model_file=str(self.folder / f"{uid}.keras"),
        )

    def error(self, value: float) -> float:
        """Returns what a value of the objective lacks of the best there can be."""
        return 1.0 - value if self.objective.direction == "maximize" else value

    def known(self) -> SizeRecord:
        """Returns what the confirmation found with all images."""
        errors = [self.error(value) for value in self.confirmation.winner.values]
        return SizeRecord(num_images=self.num_images, errors=errors, train_errors=None)
