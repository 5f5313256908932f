"""Why Ray lost a trial, in words."""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]
from ray import exceptions

WITH_MACHINE: tuple[type[Exception], ...] = (
    exceptions.NodeDiedError,
    exceptions.LocalRayletDiedError,
    # The trial ended, and its machine did before its result was fetched.
    exceptions.ObjectLostError,
)
REASONS: dict[type[Exception], str] = {
    exceptions.WorkerCrashedError: "its worker process ended",
    exceptions.OutOfMemoryError: "its machine ran out of memory, and Ray ended its worker process",
    **dict.fromkeys(WITH_MACHINE, "its machine was lost"),
}
# The mailbox's process ended or does not answer; or, through ray://, the connection broke.
CONNECTION_LOST = (
    exceptions.RayActorError,
    exceptions.GetTimeoutError,
    ConnectionError,
    grpc.RpcError,
)


def reason(error: Exception) -> str:
    """Returns why an attempt failed, in one line."""
    for kind, known in REASONS.items():
        if isinstance(error, kind):
            return known
    return f"{type(error).__name__}: {last_line(error)}"


def last_line(error: Exception) -> str:
    """Returns what a long message of Ray comes to."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
