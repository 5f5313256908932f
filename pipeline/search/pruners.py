"""Pruners by name, each with its own settings; all of them are Optuna's.

A pruner sees the objective after each epoch (steps are epochs, from 0) and stops trials that look
bad. To add one, add a class below and to `Pruner`, with `name`, `build` and `first_judgement`: the
epochs, 1 to `epochs`, after which it can stop a trial for the first time.

Hyperband is here but is no default: Optuna's splits the history by bracket, which leaves TPE blind
for the first 20 to 40 trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, model_validator

from pipeline.config import Section
from pipeline.trials.record import Epoch

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

CHOSEN: Final = "which pruner these settings are of"
STARTUP: Final = "finished trials before any is stopped"
WARMUP: Final = "epochs of each trial that are not judged"
FIRST_RUNG: Final = "epochs of each trial before the first comparison"
REDUCTION: Final = "of so many trials one goes on at each comparison, to so many times the epochs"

SECOND_PHASE: Final = 2
"""What the metric `phase` of an epoch is in phase 2."""


class NoPruner(Section):
    """Lets every trial run to its end."""

    name: Literal["none"] = Field(description=CHOSEN)

    def build(self, epochs: int) -> BasePruner:
        from optuna.pruners import NopPruner

        return NopPruner()

    def first_judgement(self, epochs: int) -> int:
        return epochs


class PercentilePruner(Section):
    """Stops a trial whose best value is not among the best `percentile` percent at its epoch."""

    name: Literal["percentile"] = Field(description=CHOSEN)
    percentile: float = Field(
        gt=0, le=100, description="trials that go on, in percent of the earlier ones"
    )
    startup_trials: int = Field(ge=1, description=STARTUP)
    warmup_epochs: int = Field(ge=0, description=WARMUP)

    def build(self, epochs: int) -> BasePruner:
        from optuna import pruners

        return pruners.PercentilePruner(
            self.percentile,
            n_startup_trials=self.startup_trials,
            n_warmup_steps=self.warmup_epochs,
        )

    def first_judgement(self, epochs: int) -> int:
        return min(self.warmup_epochs + 1, epochs)


class MedianPruner(Section):
    """Stops a trial that is worse than the median of the earlier ones at its epoch."""

    name: Literal["median"] = Field(description=CHOSEN)
    startup_trials: int = Field(ge=1, description=STARTUP)
    warmup_epochs: int = Field(ge=0, description=WARMUP)

    def build(self, epochs: int) -> BasePruner:
        from optuna import pruners

        return pruners.MedianPruner(
            n_startup_trials=self.startup_trials, n_warmup_steps=self.warmup_epochs
        )

    def first_judgement(self, epochs: int) -> int:
        return min(self.warmup_epochs + 1, epochs)


class SuccessiveHalvingPruner(Section):
    """Keeps the best 1/`reduction_factor` at each rung: `min_epochs` times powers of the factor.

    Reference: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (ASHA),
    arXiv:1810.05934, algorithm 2.
    """

    name: Literal["successive_halving"] = Field(description=CHOSEN)
    min_epochs: int = Field(ge=1, description=FIRST_RUNG)
    reduction_factor: int = Field(ge=2, description=REDUCTION)

    def build(self, epochs: int) -> BasePruner:
        from optuna import pruners

        return pruners.SuccessiveHalvingPruner(
            min_resource=self.min_epochs, reduction_factor=self.reduction_factor
        )

    def first_judgement(self, epochs: int) -> int:
        return min(self.min_epochs, epochs)


class HyperbandPruner(Section):
    """Several successive halvings with different first rungs (Li et al. 2018, arXiv:1603.06560)."""

    name: Literal["hyperband"] = Field(description=CHOSEN)
    min_epochs: int = Field(ge=1, description=FIRST_RUNG)
    reduction_factor: int = Field(ge=2, description=REDUCTION)

    def build(self, epochs: int) -> BasePruner:
        from optuna import pruners

        return pruners.HyperbandPruner(
            min_resource=self.min_epochs,
            max_resource=epochs,
            reduction_factor=self.reduction_factor,
        )

    def first_judgement(self, epochs: int) -> int:
        return min(self.min_epochs, epochs)


class PatientPruner(Section):
    """Stops a trial that has not improved for `patience` epochs."""

    name: Literal["patient"] = Field(description=CHOSEN)
    patience: int = Field(ge=0, description="epochs without improvement that are let pass")

    def build(self, epochs: int) -> BasePruner:
        from optuna import pruners

        return pruners.PatientPruner(None, patience=self.patience)

    def first_judgement(self, epochs: int) -> int:
        return min(self.patience + 2, epochs)


class ThresholdPruner(Section):
    """Stops a trial whose value leaves [lower, upper] after `warmup_epochs`."""

    name: Literal["threshold"] = Field(description=CHOSEN)
    lower: float = Field(description="smallest value of the objective that goes on")
    upper: float = Field(description="largest value of the objective that goes on")
    warmup_epochs: int = Field(ge=0, description=WARMUP)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> ThresholdPruner:
        if self.lower > self.upper:
            raise ValueError(
                f"lower <= upper must hold. Received: lower={self.lower}, upper={self.upper}."
            )
        return self

    def build(self, epochs: int) -> BasePruner:
        from optuna import pruners

        return pruners.ThresholdPruner(
            lower=self.lower, upper=self.upper, n_warmup_steps=self.warmup_epochs
        )

    def first_judgement(self, epochs: int) -> int:
        return min(self.warmup_epochs + 1, epochs)


Pruner = Annotated[
    NoPruner
    | MedianPruner
    | PercentilePruner
    | SuccessiveHalvingPruner
    | HyperbandPruner
    | PatientPruner
    | ThresholdPruner,
    Field(discriminator="name"),
]


def is_due(epochs: Sequence[Epoch], *, min_epochs: int) -> bool:
    """Whether a trial has come so far that it may be compared with others at its epoch.

    The first of two phases is short and says little about the second, in which layers of the base
    learn too; so it is the second that is judged, after as many epochs as other trials have.

    Args:
        epochs: The trial's epochs so far.
        min_epochs: Epochs of phase 2 after which the pruner can stop a trial for the first time,
            as from its `first_judgement`; 0 for a trial of one phase.
    """
    in_the_second = [epoch for epoch in epochs if epoch.metrics.get("phase") == SECOND_PHASE]
    return len(in_the_second) >= min_epochs


def build_pruner(params: Pruner, *, epochs: int, has_rungs: bool) -> BasePruner:
    """Returns the pruner of Optuna's that a study is given.

    Args:
        params: Section `search.pruner`.
        epochs: Most epochs of a whole training.
        has_rungs: Whether some trials are parts of trainings: those are let run to their end, and
            compared with no whole one.
    """
    pruner = params.build(epochs)
    if not has_rungs:
        return pruner
    from pipeline.search.views import WithinTop

    return WithinTop(pruner)
