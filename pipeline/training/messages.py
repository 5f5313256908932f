"""What the driver and its workers say to each other: plain data, importable without any library.

A worker is told a `TrialSpec` and its `TrialData`, streams an `EpochRecord` after each epoch,
hears whether to stop, and ends with a `TrialResult`. It knows neither Optuna nor MLflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from pipeline.hyperparameter import Value


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """One training to do.

    Attributes:
        uid: Names this attempt, also across restarts of the driver.
        hyperparameters: Every active entry of `training.hyperparameters`, and no other.
        seed: Root of what is drawn in it: initial weights, order of batches, dropout, random
            slopes; in [0, 2**31).
        epochs: Most epochs of a whole training, >= 1.
        objective: A key of `evaluation.objectives.OBJECTIVES`, such as `val_accuracy`.
        share: Of a whole training's gradient steps, in (0, 1]: below 1 it has fewer epochs, over
            fewer images; see `training.portions`.
        judge: A further part ("confirmation") to measure once, after training; never trained or
            selected on.
        model_file: Where to save the trained model, features of the result's `starts_from` to
            probabilities; or None. What it answers on the judged part lies in `answers_file`.
    """

    uid: str
    hyperparameters: Mapping[str, Value]
    seed: int
    epochs: int
    objective: str = "val_accuracy"
    share: float = 1.0
    judge: str | None = None
    model_file: str | None = None


def answers_file(model_file: str) -> str:
    """Returns where a training keeps the probabilities of the part that it was judged on.

    An array of float32, shape (n, num_classes), in the order of the part's rows.

    >>> answers_file("models/a-1.keras")
    'models/a-1.npy'
    """
    return f"{model_file.removesuffix('.keras')}.npy"


@dataclass(frozen=True, kw_only=True)
class EpochHealth:
    """How well a network trained in an epoch; every number is finite, to three digits.

    Attributes:
        gradient_norms: Euclidean norm of the gradient by each trained kernel, from the features to
            the probabilities, before clipping; root of the mean square of the steps measured.
        update_ratios: |change of the weights| / |weights| of the epoch's first step, by kernel.
        dead: Share of units in each hidden layer that put out nothing, for any image of a fixed
            batch of the training part, in [0, 1]; 0 where the activation cannot die.
        saturated: Share of units in each hidden layer that are flat for nearly all of these images,
            in [0, 1]; 0 where the activation cannot saturate.
        clipped: Share of steps whose gradient was clipped, in [0, 1].
        kept: Norm of the gradient after clipping over that before, in [0, 1]; its mean.
    """

    gradient_norms: Sequence[float] = ()
    update_ratios: Sequence[float] = ()
    dead: Sequence[float] = ()
    saturated: Sequence[float] = ()
    clipped: float = 0.0
    kept: float = 1.0

    @property
    def metrics(self) -> dict[str, float]:
        """What of it is drawn over epochs: of layers the two ends, the middle, or the worst."""
        found = {
            "health/dead_share": max(self.dead, default=0.0),
            "health/saturated_share": max(self.saturated, default=0.0),
            "health/clipped_share": self.clipped,
        }
        if not self.gradient_norms:
            return found
        ends = {"first": self.gradient_norms[0], "last": self.gradient_norms[-1]}
        norms = {f"health/gradient_norm_{end}": norm for end, norm in ends.items()}
        return {**norms, "health/update_ratio": median(self.update_ratios), **found}


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch gave.

    Attributes:
        epoch: Counted from 0; rises by one, through both phases.
        metrics: `loss`, `accuracy` (of training, averaged over the epoch), `val_loss`,
            `val_accuracy`, `val_macro_f1`, `learning_rate` (of the last step), `gradient_norm`
            (of the whole gradient before clipping, averaged), `phase` (1 or 2), `seconds`.
        health: How it trained; None where that was not measured, as in earlier releases.
    """

    epoch: int
    metrics: Mapping[str, float]
    health: EpochHealth | None = None

    @property
    def finite_metrics(self) -> dict[str, float]:
        """The metrics with those of its health; finite ones only, since JSON has no NaN."""
        of_health = {} if self.health is None else self.health.metrics
        found = {**self.metrics, **of_health}
        return {name: value for name, value in found.items() if math.isfinite(value)}


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a training gave.

    Attributes:
        outcome: `complete`: ran to its end or stopped early by its own rule; `stopped`: told to
            stop; `diverged`: loss or weights became non-finite. Where only phase 2 diverged, the
            trial is complete: phase 1 was, and the better of the two counts.
        best_epoch: The epoch whose weights were kept; None if it diverged in the first.
        metrics: That epoch's metrics, with `val_` names; and `confirmation_*` if judged.
        num_parameters: Weights of the kept model, trainable or not: of the head, and of the part
            of the base that was trained with it.
        num_epochs: Epochs that ended with a record, of both phases together.
        num_images: Images of the training part that it learned from; a record of an earlier
            release, which knew no parts of trainings, has 0.
        seconds: How long the whole training took, loading and judging included.
        starts_from: The cut whose features the kept model takes: the trial's own or, if phase 2
            did better than phase 1, the lower one that phase 2 starts from.
        model_file: The path that the spec asked for, where the model is now; None if none was
            asked for or nothing was kept.
        weights_sha256: SHA-256 of the kept model's weights, in order; empty if nothing was kept.
        notes: What else is worth knowing: `steps_per_epoch`, and `stopped_early` (the rule's name)
            or `diverged_epoch` where it applies, with `diverged_step`, counted from 0 in the phase,
            if loss or gradient of a step were not finite; those of phase 2 begin with `phase_2_`,
            with `phase_2_first_epoch` and `phase_2_starts_from`, its lowest cut.
    """

    outcome: str
    best_epoch: int | None
    metrics: Mapping[str, float]
    num_parameters: int
    num_epochs: int
    seconds: float
    num_images: int = 0
    starts_from: str = ""
    model_file: str | None = None
    weights_sha256: str = ""
    notes: Mapping[str, Value] = field(default_factory=dict)


Report = Callable[[EpochRecord], bool]
"""Called after each epoch; True asks the training to stop."""
