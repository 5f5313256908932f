"""What the driver tells about its trainings, to whoever keeps a record of them."""

import math
from collections.abc import Mapping
from typing import Protocol

from pipeline.hyperparameter import Value
from pipeline.training.messages import EpochRecord, TrialResult


class Recorder(Protocol):
    """Mirrors trials somewhere; `records.mirror.thread.Mirror` is the real one."""

    def start_trial(
        self,
        uid: str,
        *,
        number: int,
        hyperparameters: Mapping[str, Value],
        tags: Mapping[str, str],
    ) -> None:
        """A trial begins."""

    def log_epoch(self, uid: str, record: EpochRecord, *, at_ms: int) -> None:
        """An epoch of it ended, so many milliseconds after 1970 began."""

    def end_trial(
        self,
        uid: str,
        state: str,
        *,
        value: float | None,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        traceback: str | None,
    ) -> None:
        """It ended; `state` is COMPLETE, PRUNED or FAIL."""


def run_summary(result: TrialResult) -> dict[str, float]:
    """What a training gave, as the metrics that are logged once; those that are finite."""
    metrics = {
        **result.metrics,
        "num_parameters": float(result.num_parameters),
        "num_epochs": float(result.num_epochs),
        "num_images": float(result.num_images),
        "training_seconds": result.seconds,
    }
    if result.best_epoch is not None:
        metrics["best_epoch"] = float(result.best_epoch)
    if "diverged_step" in result.notes:
        metrics["diverged_step"] = float(result.notes["diverged_step"])
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
