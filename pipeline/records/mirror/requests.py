"""Writes to one run in as few requests as MLflow's limits allow."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

# MLflow's limits of one request.
MOST_METRICS = 800  # 1,000 of all kinds together
MOST_PARAMS = 100
MOST_TAGS = 100


def led_by(name: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns metrics with one of them first, which MLflow's comparison then opens on.

    >>> led_by("val_accuracy", {"loss": 0.3, "val_accuracy": 0.9})
    {'val_accuracy': 0.9, 'loss': 0.3}
    """
    return {one: metrics[one] for one in (name, *metrics) if one in metrics}


def points(metrics: Mapping[str, float], *, step: int, at_ms: int) -> "list[Metric]":
    """Returns metrics as MLflow's points of one step and time, but for those that are not finite.

    MLflow would store an infinite value as 1.8e308, as if it had been measured.
    """
    from mlflow.entities import Metric

    return [
        Metric(name, float(value), at_ms, step)
        for name, value in metrics.items()
        if math.isfinite(value)
    ]


def log(
    client: "MlflowClient",
    run_id: str,
    *,
    metrics: "Sequence[Metric]" = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Logs everything in one request where it fits; nothing where there is nothing.

    Args:
        client: MLflow's client.
        run_id: The run.
        metrics: From `points`; a point that was logged before is not doubled.
        params: Names and texts; cannot be changed later.
        tags: Names and texts; an earlier text is replaced.
    """
    from mlflow.entities import Param, RunTag

    rest = (
        list(metrics),
        [Param(name, text) for name, text in (params or {}).items()],
        [RunTag(name, text) for name, text in (tags or {}).items()],
    )
    while any(rest):
        points_, params_, tags_ = rest
        # Synchronous: what MLflow logs in the background is lost with a killed process.
        client.log_batch(
            run_id,
            metrics=points_[:MOST_METRICS],
            params=params_[:MOST_PARAMS],
            tags=tags_[:MOST_TAGS],
            synchronous=True,
        )
        rest = (points_[MOST_METRICS:], params_[MOST_PARAMS:], tags_[MOST_TAGS:])


def changed_params(logged: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, str]:
    """Returns, as tags `latest.NAME`, the parameters whose logged text is another one.

    >>> changed_params({"trials": "20", "seed": "1"}, {"trials": 30, "seed": 1, "epochs": 5})
    {'latest.trials': '30'}
    """
    return {
        f"latest.{name}": str(value)
        for name, value in params.items()
        if name in logged and logged[name] != str(value)
    }
