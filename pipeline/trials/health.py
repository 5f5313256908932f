"""What ailed a training, by its record: a verdict, the figures behind it, and what helps.

Pure, and computed wherever it is shown: a new threshold trains nothing again. `docs/health.md`
says where each threshold comes from. What is named is what the lectures name: gradients that vanish
or explode, units that die, gradients that are clipped to nothing, and a fit that is too weak, too
close, or not at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from pipeline.training.messages import EpochHealth
from pipeline.trials.record import TrialRecord

# The first layer's gradient over the last one's. Sound networks of five hidden layers stay above
# 0.05; each sigmoid layer more takes a factor of 4 at least, Glorot and Bengio 2010, section 3.
VANISHING: Final = 1e-3
# A share of units of one layer: half of what it could compute is not there.
IDLE: Final = 0.5
# |change| / |weights| in one step. 1e-3 is sound (Bottou, in Bengio 2012, section 4.1.1); at 1 a
# step replaces what all steps before have learnt. Behind batch normalization a layer computes the
# same whatever the size of its weights, and weights that have grown once take smaller steps (van
# Laarhoven 2017, arXiv:1706.05350, section 3): there the first epoch's step does not count.
EXPLODING: Final = 1.0
# Practically every step is clipped, to a hundredth of its length at most: then the threshold, and
# not the gradient, says how far to go.
CLIPPED: Final = 0.9
KEPT: Final = 0.01
# ... and that keeps the weights where they are: a tenth of a sound step. Adam and its kin divide
# by the gradient's size, so that with them a clipped gradient usually is a whole step.
STARVED: Final = 1e-4

# Shares of images. A gap of 10 points is more than regularization by default leaves.
OVERFITTED_GAP: Final = 0.1
# Validation loss at the end over the smallest one before.
OVERFITTED_LOSS: Final = 1.25
UNDERFITTED: Final = 0.8
# What the last fifth of the epochs has gained: half a point.
IMPROVING: Final = 0.005

HEALTHY: Final = "healthy"
GOOD: Final = "good"
UNKNOWN: Final = "-"

REMEDIES: Final = {
    "diverged": "a lower learning rate, gradient clipping, batch normalization",
    "exploding": "a lower learning rate, gradient clipping, batch normalization",
    "vanishing": "relu or one of its kin with he initialization (selu with lecun), batch "
    "normalization, fewer layers",
    "dead units": "a lower learning rate; leaky_relu, prelu or elu; he initialization",
    "over-clipped": "a higher clipping threshold, or none",
    "overfitting": "more dropout, more of it for large layers; l2; fewer units; rrelu; more data",
    "underfitting": "more layers or units, less dropout, another learning rate; prelu where there "
    "is much data",
    "still improving": "more epochs, or a higher learning rate",
}
ILLNESSES: Final = ("diverged", "over-clipped", "dead units", "exploding", "vanishing")
FITS: Final = ("overfitting", "still improving", "underfitting")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a record says of a training.

    Attributes:
        health: One of `ILLNESSES`, `healthy`, or `-` where it was not measured.
        fit: One of `FITS`, `good`, or `-` where no epoch ended.
        figures: What led to both, in words, one each.
    """

    health: str
    fit: str
    figures: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Illness and misfit, where there are any."""
        return tuple(name for name in (self.health, self.fit) if name in REMEDIES)

    @property
    def tags(self) -> dict[str, str]:
        """As tags of the run, to filter by; without what is not known."""
        found = {"health": self.health, "fit": self.fit}
        return {name: text for name, text in found.items() if text != UNKNOWN}


def verdict(trial: TrialRecord) -> Verdict:
    """Judges a trial that has ended, or what there is of it.

    Of several illnesses the one is named that comes first in `ILLNESSES`.
    """
    health, of_health = _health(trial)
    fit, of_fit = _fit(trial)
    return Verdict(
        health=health,
        fit=fit,
        figures=tuple(text for text in (of_health, of_fit) if text),
    )


def _health(trial: TrialRecord) -> tuple[str, str]:
    measured = [(e.metrics.get("phase"), e.health) for e in trial.epoch_records if e.health]
    epochs = [health for _, health in measured]
    if trial.is_diverged:
        step = trial.metrics.get("diverged_step")
        at = f" at step {step:.0f}" if step is not None else ""
        return (
            "diverged",
            f"loss, gradient or weights not finite{at}, after {len(trial.epoch_records)} epochs",
        )
    if not epochs:
        return UNKNOWN, ""
    # In phase 2 rates are small on purpose, and what the gradient passes has been trained before.
    first = [health for phase, health in measured if phase == 1.0] or epochs
    is_normalized = trial.hyperparameters.get("normalization", "none") != "none"
    seen = {"over-clipped": first, "vanishing": first, "exploding": epochs[is_normalized:]}
    for name, rule in _RULES.items():
        figures = rule(seen.get(name, epochs))
        if figures:
            return name, figures
    update = median([_update(one) for one in first])
    return HEALTHY, f"a step changes weights by {update:.1g} of their size"


def _over_clipped(epochs: Sequence[EpochHealth]) -> str:
    clipped, kept = (median([getattr(e, name) for e in epochs]) for name in ("clipped", "kept"))
    update = median([_update(one) for one in epochs])
    if clipped < CLIPPED or kept > KEPT or update > STARVED:
        return ""
    return (
        f"{clipped:.0%} of the steps clipped, to {kept:.2g} of their length; "
        f"a step changes weights by {update:.1g} of their size"
    )


def _dead(epochs: Sequence[EpochHealth]) -> str:
    share = max(epochs[-1].dead, default=0.0)
    return f"{share:.0%} of the units of a hidden layer are dead" if share >= IDLE else ""


def _exploding(epochs: Sequence[EpochHealth]) -> str:
    largest = max((ratio for one in epochs for ratio in one.update_ratios), default=0.0)
    return f"a step changed weights by {largest:.2g} of their size" if largest >= EXPLODING else ""


def _vanishing(epochs: Sequence[EpochHealth]) -> str:
    share = max(epochs[-1].saturated, default=0.0)
    if share >= IDLE:
        return f"{share:.0%} of the units of a hidden layer are saturated"
    ratio = _first_to_last(epochs)
    if ratio is None or ratio > VANISHING:
        return ""
    return f"the first layer's gradient is {ratio:.1g} of the last one's"


_RULES: Final[dict[str, Callable[[Sequence[EpochHealth]], str]]] = {
    "over-clipped": _over_clipped,
    "dead units": _dead,
    "exploding": _exploding,
    "vanishing": _vanishing,
}


def _first_to_last(epochs: Sequence[EpochHealth]) -> float | None:
    """Returns the median of |gradient| of the first layer over that of the last; None of one."""
    ratios = [
        one.gradient_norms[0] / one.gradient_norms[-1]
        for one in epochs
        if len(one.gradient_norms) > 1 and one.gradient_norms[-1] > 0.0
    ]
    return median(ratios) if ratios else None


def _update(epoch: EpochHealth) -> float:
    return median(epoch.update_ratios) if epoch.update_ratios else 0.0


def _fit(trial: TrialRecord) -> tuple[str, str]:
    names = ("accuracy", "val_accuracy", "loss", "val_loss")
    rows = [
        tuple(record.metrics[name] for name in names)
        for record in trial.epoch_records
        if all(name in record.metrics for name in names)
    ]
    if not rows:
        return UNKNOWN, ""
    accuracies, values, losses, val_losses = zip(*rows, strict=True)
    fitted, value, val_loss, smallest = accuracies[-1], values[-1], val_losses[-1], min(val_losses)
    said = f"{fitted:.1%} of the training images right, {value:.1%} of those to validate"
    has_risen = val_loss >= OVERFITTED_LOSS * smallest and losses[-1] < val_loss
    if fitted - value >= OVERFITTED_GAP or has_risen:
        return "overfitting", f"{said}; validation loss {val_loss:.3g}, once {smallest:.3g}"
    back = max(1, round(len(rows) / 5))
    gain = value - values[-1 - back] if len(rows) > back else 0.0
    if gain >= IMPROVING and value == max(values):
        epochs = f"{back} epoch{'s' if back > 1 else ''}"
        return "still improving", f"{said}; {100 * gain:.1f} points more than {epochs} before"
    # While it is trained, dropout hides what it knows: it fits at least as well as it validates.
    if max(fitted, *values) < UNDERFITTED:
        return "underfitting", said
    return GOOD, said
