"""An epoch as a study holds it, with how it trained: an entry of a trial's attribute `epochs`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline.training.messages import EpochHealth, EpochRecord


def stored(record: EpochRecord, *, at_ms: int) -> dict[str, object]:
    """Returns an epoch as JSON holds it; of its metrics those that are finite.

    Args:
        record: The epoch.
        at_ms: When it ended, milliseconds since 1970.
    """
    metrics = {name: value for name, value in record.metrics.items() if math.isfinite(value)}
    health = {} if record.health is None else {"health": asdict(record.health)}
    return {"epoch": record.epoch, "metrics": metrics, "at_ms": at_ms, **health}


def restored(content: Mapping[str, Any]) -> EpochRecord:
    """Reads what `stored` wrote; earlier releases have left no health in it."""
    health = content.get("health")
    return EpochRecord(
        epoch=int(content["epoch"]),
        metrics=content["metrics"],
        health=None if health is None else EpochHealth(**health),
    )
