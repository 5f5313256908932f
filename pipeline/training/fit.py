"""One training from its first epoch to its last, as a trial's hyperparameters say."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.hyperparameter import Value
from pipeline.training import programs
from pipeline.training.batches import (
    TrainingData,
    balanced_class_weights,
    epoch_chunks,
    epoch_order,
    resolve_batch_size,
)
from pipeline.training.gradients import epoch_health
from pipeline.training.messages import EpochRecord, Report
from pipeline.training.optimizers import build_optimizer
from pipeline.training.phases import Phase
from pipeline.training.rules import BestEpoch, Plateau, stopping_rule
from pipeline.training.schedules import learning_rate_table
from pipeline.training.steps import NUM_SUMS, Steps, Sums, TabulatedSchedule, copy_variables


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training gave; the model holds the best epoch's weights.

    Attributes:
        outcome: `complete`, `stopped` (by the report) or `diverged`.
        best: The record of the epoch whose weights were kept; None if there was none.
        num_epochs: Epochs that ended with a record.
        learning_rate: What the next step would have been taken with where no schedule rules the
            rate; else that of the last step.
        steps: What was compiled for it, with a model of the same weights: for `programs.keep`,
            when nobody needs the trained model any more.
        notes: `steps_per_epoch`; `stopped_early` (the rule's name) or `diverged_epoch`, where it
            applies.
    """

    outcome: str
    best: EpochRecord | None
    num_epochs: int
    learning_rate: float
    steps: Steps
    notes: Mapping[str, Value] = field(default_factory=dict)


class Training:
    """A model with everything that one training of it needs; runs it epoch by epoch.

    Args:
        model: Float32 features to probabilities.
        data: What to train and validate on.
        hyperparameters: The trial's, by name, without those that a choice switches off.
        phase: Which epochs, and their learning rates.
        seed: Root of the order of batches, in [0, 2**31).

    Attributes:
        steps: What trains; its model is trained in place, and may be another than was given.
        diverged_step: The first step whose loss was not finite, counted from 0, or whose gradient
            or update was not, so that the next one's was; None without one, also where only the
            weights or the answers are not finite.
    """

    def __init__(
        self,
        model: keras.Model,
        data: TrainingData,
        hyperparameters: Mapping[str, Value],
        *,
        phase: Phase,
        seed: int,
    ) -> None:
        self._data = _weighed(data, hyperparameters)
        self._phase = phase
        self._seed = seed
        num_examples = len(data.train)
        self._batch_size = resolve_batch_size(
            hyperparameters["batch_size"], num_examples=num_examples
        )
        self._num_passes = _num_passes(hyperparameters, phase, num_examples=num_examples)
        # Batch normalization makes zeros of a batch of one: such an image waits for the next pass.
        is_alone = self._batch_size > 1 and num_examples % self._batch_size == 1
        self._num_rows = num_examples - is_alone
        self.steps_per_epoch = self._num_passes * -(-self._num_rows // self._batch_size)
        self._rates = learning_rate_table(
            hyperparameters,
            num_steps=len(phase.epochs) * self.steps_per_epoch,
            steps_per_epoch=self.steps_per_epoch,
            factor=phase.factor,
        )
        self.diverged_step: int | None = None
        self._num_steps = 0
        self._is_scheduled = hyperparameters["schedule"] != "performance"
        schedule = TabulatedSchedule(self._rates) if self._is_scheduled else None
        rate = schedule or float(self._rates[0])
        self.steps = programs.take(
            Steps(
                model,
                build_optimizer(hyperparameters, learning_rate=rate),
                batch_size=self._batch_size,
                steps_per_epoch=self.steps_per_epoch,
                centre=data.centre,
                schedule=schedule,
            )
        )

    def run_epoch(self, epoch: int) -> EpochRecord | None:
        """Trains and validates one epoch; None as soon as something is not finite."""
        start = time.perf_counter()
        trained = self._train_epoch(epoch)
        if trained is None:
            return None
        sums, updates = trained
        probabilities = self.steps.predict(self._data, self._data.val)
        if not np.isfinite(probabilities).all():
            return None
        val = classification_metrics(probabilities, self._data.labels[self._data.val])
        health = epoch_health(
            sums[NUM_SUMS:],
            num_measured=sums[3],
            model=self.steps.model,
            updates=updates,
            idle=self.steps.predict.idle_shares(self._data),
        )
        num_images = self._num_passes * self._num_rows
        metrics = {
            "loss": float(sums[0] / num_images),
            "accuracy": float(sums[1] / num_images),
            **{f"val_{name}": value for name, value in val.items()},
            "learning_rate": self.learning_rate,
            "gradient_norm": float(sums[2] / sums[3]),
            "phase": float(self._phase.number),
            "seconds": time.perf_counter() - start,
        }
        return EpochRecord(epoch=epoch, metrics=metrics, health=health)

    @property
    def learning_rate(self) -> float:
        """The rate of the last step taken."""
        optimizer = self.steps.optimizer
        if self._is_scheduled:
            return float(self._rates[max(int(optimizer.iterations.numpy()), 1) - 1])
        return float(optimizer.learning_rate.numpy())

    def multiply_learning_rate(self, factor: float) -> None:
        """Changes the rate of the steps to come; only where no schedule rules it."""
        if factor != 1.0:
            self.steps.optimizer.learning_rate = self.learning_rate * factor

    def _train_epoch(self, epoch: int) -> tuple[Sums, NDArray[np.float64]] | None:
        total: Sums | None = None
        for one in range(epoch * self._num_passes, (epoch + 1) * self._num_passes):
            order = epoch_order(self._data.train, seed=self._seed, epoch=one)[: self._num_rows]
            for chunk in epoch_chunks(self._data, order, batch_size=self._batch_size):
                if total is None:
                    total, updates = self.steps.train_and_compare(chunk)
                else:
                    total = total + self.steps.train(chunk)
                if not np.isfinite(total[: NUM_SUMS - 1]).all():
                    self.diverged_step = self._num_steps + int(total[NUM_SUMS - 1])
                    return None
        self._num_steps += self.steps_per_epoch
        # A relu hides weights that are not finite from the loss.
        finite = all(np.isfinite(weights).all() for weights in self.steps.model.get_weights())
        return (total, updates) if finite and total is not None else None


def train(
    model: keras.Model,
    data: TrainingData,
    hyperparameters: Mapping[str, Value],
    *,
    phase: Phase,
    seed: int,
    objective: str,
    report: Report,
) -> FitResult:
    """Trains a model and leaves the best epoch's weights in it, whatever ended the training.

    The same seed and initial weights give the same numbers on one thread. A training that
    diverges stops at once and keeps the best epoch before that, if there was one.

    Args:
        model: Float32 features to probabilities. Its last layer is a softmax.
        data: What to train on, and what to choose the epoch by.
        hyperparameters: The trial's, by name, without those that a choice switches off.
        phase: Which epochs to run, and their learning rates; the rules that stop a training and
            lower its rate start with it.
        seed: Root of the order of batches, in [0, 2**31).
        objective: What better means: a key of `OBJECTIVES`, such as `val_accuracy`.
        report: Hears of each epoch, and may end the training.
    """
    training = Training(model, data, hyperparameters, phase=phase, seed=seed)
    trained = training.steps.model
    spec = OBJECTIVES[objective]
    best = BestEpoch(spec)
    is_over, plateau = stopping_rule(hyperparameters, spec), Plateau(hyperparameters, spec)
    outcome, num_epochs = "complete", 0
    notes: dict[str, Value] = {"steps_per_epoch": training.steps_per_epoch}
    for epoch in phase.epochs:
        record = training.run_epoch(epoch)
        if record is None:
            outcome, notes["diverged_epoch"] = "diverged", epoch
            if training.diverged_step is not None:
                notes["diverged_step"] = training.diverged_step
            break
        num_epochs += 1
        best.update(record, trained)
        if report(record):
            outcome = "stopped"
            break
        if is_over(record):
            notes["stopped_early"] = hyperparameters["early_stopping"]
            break
        training.multiply_learning_rate(plateau.update(record))
    best.restore(trained)
    copy_variables(trained.variables, to=model.variables)
    return FitResult(
        outcome=outcome,
        best=best.record,
        num_epochs=num_epochs,
        learning_rate=training.learning_rate,
        steps=training.steps,
        notes=notes,
    )


def _num_passes(hyperparameters: Mapping[str, Value], phase: Phase, *, num_examples: int) -> int:
    """Returns how often an epoch goes over the training part, >= 1.

    Phase 2 goes over it once: it is dear, and starts from a head that has been trained.
    """
    if phase.number != 1:
        return 1
    return max(1, round(int(hyperparameters["images_per_epoch"]) / num_examples))


def _weighed(data: TrainingData, hyperparameters: Mapping[str, Value]) -> TrainingData:
    if hyperparameters["class_weight"] == "none":
        return data
    weights = balanced_class_weights(data.labels[data.train], data.num_classes)[data.labels]
    if data.weights is not None:
        weights = weights * data.weights
        # 1 in the mean over what is trained on, as either has by itself.
        weights /= weights[data.train].mean()
    return replace(data, weights=weights)
