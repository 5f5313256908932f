"""Trials in processes of this machine.

Each worker is a process with one duplex pipe of its own; nothing is shared, so a worker killed at
any instant can harm no other. The pipes and the processes' sentinels are waited on together. Large
results go through files, never the pipe.

Where that is safe, workers are forks of a server that has imported TensorFlow, so that a new one
costs no seconds, and memory only once. Elsewhere each is spawned and imports it for itself.

Workers end by being killed, so nobody in them removes their temporary files (TensorFlow writes one
for each function that it compiles): those are in a folder that `close` removes.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import InfeasibleTrialError
from pipeline.processes import die_with_parent
from pipeline.search.executors.base import (
    EpochDone,
    Event,
    Executor,
    FatalErrors,
    Train,
    TrialDone,
    TrialLost,
    TrialRaised,
    tensorflow_worker,
)
from pipeline.training.data import TrialData
from pipeline.training.devices import GPU_DRIVERS
from pipeline.training.messages import EpochRecord, TrialSpec

# A worker says so when its libraries are imported, which is no part of its first trial.
READY = "ready"
START_SECONDS = 120.0
# By name: to import them is to be the server.
FORK_SERVER = "pipeline.search.executors.fork_server"
PRELOADED = "pipeline.search.executors.preloaded"


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    uid: str | None = None
    started: float = 0.0
    num_trials: int = 0
    is_ready: bool = False

    def is_overdue(self, limit_seconds: float) -> bool:
        """Whether its trial has taken longer than it may."""
        limit = limit_seconds if self.is_ready else limit_seconds + START_SECONDS
        return self.uid is not None and time.monotonic() - self.started > limit


class LocalExecutor(Executor):
    """Runs trials in processes, one TensorFlow thread each, reused from trial to trial.

    Args:
        num_workers: Processes, >= 1. Two with one thread each train twice as much as one with two.
        trials_per_worker: A process is replaced after that many trials, >= 1, since TensorFlow
            never gives all its memory back.
        memory_limit_bytes: ... or after a trial that left it larger than this.
        trial_timeout_seconds: A trial that takes longer, from when its worker is ready, is killed
            and counts as lost.
        train: The worker function, importable by name; `training.worker.run_trial` unless given.
    """

    def __init__(
        self,
        num_workers: int,
        *,
        trials_per_worker: int = 50,
        memory_limit_bytes: int = 4 << 30,
        trial_timeout_seconds: float | None = None,
        train: Train | None = None,
    ) -> None:
        self._num_workers = num_workers
        self._trials_per_worker = trials_per_worker
        self._memory_limit_bytes = memory_limit_bytes
        self._trial_timeout_seconds = trial_timeout_seconds
        self._train = train
        self._workers: list[_Worker] = []
        self._scratch = tempfile.TemporaryDirectory(prefix="trials-")
        self._context = _context(needs_tensorflow=train is None)

    @property
    def num_free(self) -> int:
        return self._num_workers - sum(worker.uid is not None for worker in self._workers)

    @property
    def pids(self) -> dict[str, int]:
        """Process id by the uid of the trial it runs."""
        return {w.uid: w.process.pid or 0 for w in self._workers if w.uid is not None}

    def submit(self, spec: TrialSpec, data: TrialData) -> None:
        if not self.num_free:
            raise ValueError(f"All {self._num_workers} workers are busy. Received: {spec.uid!r}.")
        worker = self._idle_worker()
        worker.uid, worker.started = spec.uid, time.monotonic()
        worker.num_trials += 1
        # A worker that died while idle is noticed by its sentinel in `wait`, as a lost trial.
        _send(worker.pipe, (spec, data))

    def answer(self, uid: str, *, stop: bool) -> None:
        for worker in self._workers:
            if worker.uid == uid:
                _send(worker.pipe, stop)

    def wait(self, timeout_seconds: float) -> list[Event]:
        watched: dict[Any, _Worker] = {}
        for worker in self._workers:
            watched[worker.pipe] = watched[worker.process.sentinel] = worker
        ready = wait(list(watched), timeout_seconds) if watched else []
        events: list[Event] = []
        for worker in {id(watched[item]): watched[item] for item in ready}.values():
            events += self._read(worker)
        return events + self._kill_overdue()

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()
        self._scratch.cleanup()

    def _idle_worker(self) -> _Worker:
        for worker in self._workers:
            if worker.uid is None:
                return worker
        return self._start_worker()

    def _start_worker(self) -> _Worker:
        ours, theirs = self._context.Pipe(duplex=True)
        process = self._context.Process(  # type: ignore[attr-defined]
            target=serve,
            args=(theirs, os.getpid(), self._train, self._scratch.name),
            name="trial-worker",
            daemon=True,
        )
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _read(self, worker: _Worker) -> list[Event]:
        events: list[Event] = []
        try:
            while worker.pipe.poll():
                event = worker.pipe.recv()
                if event == READY:
                    worker.is_ready, worker.started = True, time.monotonic()
                    continue
                events.append(event)
                if not isinstance(event, EpochDone):
                    worker.uid = None
                    self._retire_if_worn(worker, broken=_ends_its_process(event))
                    return events
        except (EOFError, OSError):
            return events + self._bury(worker, "its worker process ended")
        if not worker.process.is_alive():
            return events + self._bury(worker, "its worker process ended")
        return events

    def _bury(self, worker: _Worker, reason: str) -> list[Event]:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        if worker.uid is None:
            return []
        return [TrialLost(worker.uid, f"{reason} (exit code {worker.process.exitcode})")]

    def _retire_if_worn(self, worker: _Worker, *, broken: bool) -> None:
        if broken or worker.num_trials >= self._trials_per_worker or self._is_large(worker):
            worker.process.kill()
            self._bury(worker, "")

    def _is_large(self, worker: _Worker) -> bool:
        try:
            memory: int = psutil.Process(worker.process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return False  # Its sentinel says so to the next wait.
        return memory > self._memory_limit_bytes

    def _kill_overdue(self) -> list[Event]:
        if self._trial_timeout_seconds is None:
            return []
        limit = self._trial_timeout_seconds
        overdue = [worker for worker in self._workers if worker.is_overdue(limit)]
        events: list[Event] = []
        for worker in overdue:
            worker.process.kill()
            events += self._bury(worker, f"it took over {limit:g} s")
        return events


def prepare() -> None:
    """Begins to import TensorFlow for workers that are forks, which takes seconds."""
    _context(needs_tensorflow=True)


def _context(*, needs_tensorflow: bool) -> BaseContext:
    """Returns how workers are started; begins to import TensorFlow for them, if they need it."""
    # CUDA does not survive a fork, nor do macOS' libraries.
    if sys.platform != "linux" or any(Path(device).exists() for device in GPU_DRIVERS):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([FORK_SERVER, *([PRELOADED] if needs_tensorflow else [])])
    forkserver.ensure_running()
    return context


def _ends_its_process(event: Event) -> bool:
    return isinstance(event, TrialRaised) and not event.is_infeasible


def _send(pipe: Connection, message: object) -> None:
    # A dead worker's trial is reported as lost by its sentinel.
    with contextlib.suppress(OSError):
        pipe.send(message)


def serve(pipe: Connection, parent_pid: int, train: Train | None, scratch: str) -> None:
    """Runs trials that come through `pipe` until it closes; the main function of a worker.

    Args:
        pipe: To the driver: takes trials and answers, gives events.
        parent_pid: The driver's process. This one ends with it: where it was spawned by the driver
            at once, where it is a fork of the server with the server, which ends with the driver.
        train: The worker function, or None for TensorFlow's.
        scratch: The folder for all temporary files of this process; the driver removes it.
    """
    server = sys.modules.get(FORK_SERVER)
    die_with_parent(signal.SIGKILL, parent_pid if server is None else server.PID)
    tempfile.tempdir = scratch
    # Ctrl-C reaches the whole process group; the driver decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    train = train or tensorflow_worker()
    _send(pipe, READY)
    gone = (EOFError, BrokenPipeError, ConnectionResetError)
    while True:
        try:
            spec, data = pipe.recv()
        except EOFError:
            return

        def report(record: EpochRecord, uid: str = spec.uid) -> bool:
            pipe.send(EpochDone(uid, record))
            stop: bool = pipe.recv()
            return stop

        with FatalErrors(spec.uid, partial(_send, pipe), driver_gone=gone):
            try:
                pipe.send(TrialDone(spec.uid, train(spec, data, report)))
            except InfeasibleTrialError as error:
                pipe.send(TrialRaised(spec.uid, str(error), traceback.format_exc(), True))
