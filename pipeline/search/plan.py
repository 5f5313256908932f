"""What a search is told, apart from its study, its workers and its data."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.hyperparameter import Value
from pipeline.search.distributions import Setting


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """How a search goes.

    Attributes:
        settings: What is searched or fixed.
        defaults: The value of everything else.
        target: Finished trials wanted in the study, >= 1.
        epochs: Most epochs of one trial, >= 1.
        seed: Root of every seed.
        sampler: A key of `SAMPLERS`.
        max_retries: How often a lost trial is tried again, >= 0.
        max_failures: The search stops after this many failed trials in a row, >= 1.
        reuse: Whether a configuration that was tried gets its earlier result, untrained.
        limit_seconds: The search ends after that long, plus one epoch; None: no limit.
        rung_epochs: Epochs after which the pruner can stop a trial for the first time, >= 1.
    """

    settings: Mapping[str, Setting]
    defaults: Mapping[str, Value]
    objective: str
    target: int
    epochs: int
    seed: int
    sampler: str
    max_retries: int
    max_failures: int
    reuse: bool = True
    limit_seconds: float | None = None
    rung_epochs: int = 1
