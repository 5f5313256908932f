"""What a search optimizes: a metric of the validation part, and where better lies.

Apart from `metrics`, which computes them: `check` names objectives, and does so without NumPy.
"""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ObjectiveSpec:
    """What a search optimizes.

    Attributes:
        metric: Its name among an epoch's metrics, measured on the validation part.
        direction: Optuna's word for where better lies.
    """

    metric: str
    direction: Literal["maximize", "minimize"]

    @property
    def measure(self) -> str:
        """The key of `classification_metrics` that it is, such as `loss`."""
        return self.metric.removeprefix("val_")

    @property
    def probability_metric(self) -> str:
        """The key of `evaluation.metrics.METRICS` that it is, such as `log_loss`."""
        return "log_loss" if self.measure == "loss" else self.measure

    @property
    def worst(self) -> float:
        """A value that every finite one is better than."""
        return -math.inf if self.direction == "maximize" else math.inf

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` is strictly better than `other`; NaN is worse than any number."""
        if math.isnan(value) or math.isnan(other):
            return math.isnan(other) and not math.isnan(value)
        return value > other if self.direction == "maximize" else value < other

    def metric_on(self, part: str) -> str:
        """Names the same measure on another part of the data.

        >>> OBJECTIVES["val_log_loss"].metric_on("confirmation")
        'confirmation_loss'
        """
        return f"{part}_{self.measure}"


OBJECTIVES: dict[str, ObjectiveSpec] = {
    "val_accuracy": ObjectiveSpec(metric="val_accuracy", direction="maximize"),
    "val_log_loss": ObjectiveSpec(metric="val_loss", direction="minimize"),
    "val_macro_f1": ObjectiveSpec(metric="val_macro_f1", direction="maximize"),
}
