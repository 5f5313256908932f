"""The connection to a Ray cluster, or to one of this process's own."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import exceptions

import pipeline
from pipeline.errors import ConfigError
from pipeline.processes import num_cores
from pipeline.search.executors.ray_errors import last_line

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
# One question a second is nothing to a cluster; a dead one is noticed this much later.
CHECK_SECONDS = 1.0
# A short break of the network costs nothing; after 60 s without a head, Ray ends this process.
PATIENCE_SECONDS = 10.0
OWN_PATIENCE_SECONDS = 3.0
ANSWER_SECONDS = 3.0
REHEARSAL_SECONDS = 25.0
# One in fifteen servers of a client dies as Ray forks it (ray-project/ray#63202).
CLIENT_FAILED = "Initialization failure from server"
CLIENT_RETRIES = 2
REHEARSAL = """
import sys, ray
sys.excepthook = lambda kind, error, trace: print(*str(error).split(), file=sys.stderr)
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
"""


class Cluster:
    """A connection to a cluster; `local` also starts it, and `close` ends it.

    Args:
        address: `local`, `auto` (a running one on this machine, or the one of `RAY_ADDRESS`),
            `HOST:PORT` of a head whose cluster this machine belongs to, or `ray://HOST:PORT`.
        max_trials: How many trials a cluster of our own has room for; None: one per core's worth.
        num_cpus: CPUs of one trial, > 0; whole if above 1.
        num_gpus: GPUs of one trial, >= 0; whole if above 1.

    Raises:
        ConfigError: If there is no such cluster, or if it has another version of Ray or Python.
    """

    def __init__(
        self, address: str, *, max_trials: int | None, num_cpus: float, num_gpus: float
    ) -> None:
        self._needs = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        for name, amount in self._needs.items():
            if amount > 1 and amount != int(amount):
                raise ConfigError(
                    f"search.ray.{name} must be whole if it is above 1. Received: {name}={amount}."
                )
        if address == AUTO:
            address = os.environ.get("RAY_ADDRESS", AUTO)
        self.address = address
        self._session: Path | None = None
        self._patience_seconds = OWN_PATIENCE_SECONDS if address == LOCAL else PATIENCE_SECONDS
        self._checked = time.monotonic()
        self._silent_since: float | None = None
        self._nodes: list[dict[str, Any]] = []
        self._gone: set[str] = set()
        if address == LOCAL:
            cores = num_cores() if max_trials is None else math.ceil(max_trials * num_cpus)
            context = self._connect(
                num_cpus=max(cores, math.ceil(num_cpus)), include_dashboard=False
            )
            self._session = Path(context.address_info["session_dir"])
        else:
            _rehearse(address)
            # The cluster runs this very code, whatever its images hold.
            folder = str(Path(pipeline.__file__).parent)
            self._connect(runtime_env={"py_modules": [folder], "excludes": ["__pycache__"]})
        self.node_id = ray.get_runtime_context().get_node_id()
        self._head = self._head_address()
        self._nodes = ray.nodes()

    def _connect(self, **options: Any) -> Any:
        # After that long without its driver, a server of ray:// ends the driver's tasks.
        os.environ.setdefault("RAY_CLIENT_RECONNECT_GRACE_PERIOD", f"{PATIENCE_SECONDS:.0f}")
        # That an attempt failed which nobody waits for any more is no news.
        os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"
        # Ray prints what happens to its processes in the midst of the search's own line; the driver
        # reports it all as lost trials.
        setattr(ray._private.worker, "_worker_logs_enabled", False)  # noqa: B010
        options |= {"log_to_driver": False, "logging_level": logging.ERROR}
        for is_last in [False] * CLIENT_RETRIES + [True]:
            try:
                with _own_sigterm(), warnings.catch_warnings(action="ignore"):
                    context = ray.init(self.address, **options)
                break
            except (exceptions.RayError, OSError, RuntimeError, ValueError) as error:
                if CLIENT_FAILED not in str(error):
                    raise ConfigError(_no_cluster(self.address, str(error))) from error
                if is_last:
                    raise ConfigError(_no_cluster(self.address, last_line(error))) from error
        # What is said by ray:// does not follow the level above.
        for name in ("ray", "ray.util.client.logsclient"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return context

    def _head_address(self) -> tuple[str, int]:
        if self.address.startswith(CLIENT):
            return _host_and_port(self.address)
        return _host_and_port(ray.get_runtime_context().gcs_address)

    def check(self) -> None:
        """Asks the cluster how it is, not more than once a second."""
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        if self._can_be_reached():
            self._silent_since = None
        elif self._silent_since is None:
            # From here, not from the last answer: the search itself may have paused since.
            self._silent_since = now

    @property
    def answers(self) -> bool:
        """Whether it did when it was asked last."""
        return self._silent_since is None

    @property
    def is_lost(self) -> bool:
        """Whether the head, or the node that this process belongs to, has been gone for long."""
        since = self._silent_since
        return since is not None and self._checked - since > self._patience_seconds

    def _can_be_reached(self) -> bool:
        # By plain connections: while its head is gone, Ray's own questions block for a minute.
        if not _answers(*self._head, timeout_seconds=CHECK_SECONDS):
            return False
        self._nodes = ray.nodes()
        return self.address.startswith(CLIENT) or self._own_node_answers()

    def _own_node_answers(self) -> bool:
        # When the node dies that this process is connected through, Ray tells it nothing at all.
        own = [node for node in self._nodes if node["NodeID"] == self.node_id]
        return bool(own) and _answers(
            own[0]["NodeManagerAddress"], own[0]["NodeManagerPort"], timeout_seconds=CHECK_SECONDS
        )

    def is_gone(self, node_id: str) -> bool:
        """Says whether a node died; one that joined after the last question is not known yet."""
        dead = any(node["NodeID"] == node_id and not node["Alive"] for node in self._nodes)
        return dead or node_id in self._gone

    def note_gone(self, node_id: str) -> None:
        """Notes that a node died, which the cluster itself takes up to 15 s to find."""
        self._gone.add(node_id)

    def _living(self) -> list[dict[str, Any]]:
        return [node for node in self._nodes if node["Alive"] and node["NodeID"] not in self._gone]

    @property
    def num_slots(self) -> int:
        """How many trials fit on the cluster's living nodes at once; 0 while it does not answer."""
        if not self.answers:
            return 0
        return sum(slots_of(node["Resources"], **self._needs) for node in self._living())

    def close(self) -> None:
        """Ends the connection and with it all that was started through it; may be called again."""
        ray.shutdown()
        if self._session is not None:
            # Its last processes may still be writing there as they end.
            shutil.rmtree(self._session, ignore_errors=True)


@contextmanager
def _own_sigterm() -> Iterator[None]:
    # ray.init replaces the handler by one of its own, which knows nothing of exit code 143.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def slots_of(resources: dict[str, float], *, num_cpus: float, num_gpus: float) -> int:
    """Returns how many trials fit on a node at once, >= 0.

    Args:
        resources: Of the node, as Ray names them.
        num_cpus: Of one trial, > 0.
        num_gpus: Of one trial, >= 0; a part of a GPU is a part of a single one.
    """
    slots = _whole(resources.get("CPU", 0.0) / num_cpus)
    if not num_gpus:
        return slots
    gpus = resources.get("GPU", 0.0)
    if num_gpus < 1:
        return min(slots, _whole(1 / num_gpus) * int(gpus))
    return min(slots, _whole(gpus / num_gpus))


def _whole(quotient: float) -> int:
    # 1 / 0.1 may come out below 10.
    return math.floor(quotient + 1e-9)


def _host_and_port(address: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:ray://)?\[?([^\[\]/]+?)\]?:(\d+)", address)
    if found is None:
        raise ConfigError(
            "search.ray.address must be local, auto, HOST:PORT or ray://HOST:PORT. "
            f"Received: address={address!r}."
        )
    return found[1], int(found[2])


def _answers(host: str, port: int, *, timeout_seconds: float) -> bool:
    try:
        socket.create_connection((host, port), timeout=timeout_seconds).close()
    except OSError:
        return False
    return True


def _rehearse(address: str) -> None:
    """Connects once in a process of its own, which can be ended when it takes too long.

    Where something else answers, Ray tries for up to five minutes, with a line for each try; by
    ray:// it gives up after 30 s by itself.
    """
    command = [sys.executable, "-W", "ignore", "-c", REHEARSAL, address]
    try:
        if address != AUTO:
            socket.create_connection(_host_and_port(address), timeout=ANSWER_SECONDS).close()
        if not address.startswith(CLIENT):
            subprocess.run(
                command, capture_output=True, check=True, text=True, timeout=REHEARSAL_SECONDS
            )
    except OSError as error:
        raise ConfigError(_no_cluster(address, str(error))) from None
    except subprocess.TimeoutExpired as error:
        raise ConfigError(_no_cluster(address, f"no answer in {error.timeout:g} s")) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.splitlines() or [f"exit code {error.returncode}"]
        raise ConfigError(_no_cluster(address, said[-1])) from None


def _no_cluster(address: str, reason: str) -> str:
    return (
        "search.ray.address must name a Ray cluster that can be used from here; one with a token "
        "needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN. "
        f"Received: address={address!r}: {' '.join(reason.split()).rstrip('.')}."
    )
