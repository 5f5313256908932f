"""What runs on the cluster: a task for each attempt, and the mailbox between them and the driver.

An attempt's only tie to the driver's machine is the mailbox: its data come through the object
store, its epochs, the answers to them and its errors through the mailbox, its model as bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from pipeline.errors import InfeasibleTrialError
from pipeline.features.manifest import MANIFEST
from pipeline.files import write_whole
from pipeline.hyperparameter import Value
from pipeline.search.executors.base import (
    EpochDone,
    FatalErrors,
    Train,
    TrialDone,
    TrialRaised,
    tensorflow_worker,
)
from pipeline.search.executors.local import START_SECONDS
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec, answers_file

if TYPE_CHECKING:
    import keras

    from pipeline.training.data import CutData


@dataclass(frozen=True)
class Started:
    """An attempt has its worker; its time begins, now or when it says so again.

    Attributes:
        spare_seconds: How much longer it may take, while the worker imports its libraries.
    """

    uid: str
    pid: int
    node_id: str
    spare_seconds: float = 0.0


Message = Started | EpochDone | TrialRaised
Files = tuple[bytes, bytes | None]
"""What the file of a model holds, and that of its answers, if it was judged."""


class Mailbox:
    """An asynchronous actor, one for each driver, on the driver's node.

    Messages are numbered from 1 and kept until the driver says that it has them, so that none is
    lost when two of its questions overlap.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Message]] = deque()
        self._last = 0
        self._arrived = asyncio.Event()
        self._answers: dict[str, asyncio.Future[bool]] = {}
        self._given_up: set[str] = set()

    async def tell(self, message: Message) -> None:
        """Keeps a message for the driver."""
        self._last += 1
        self._kept.append((self._last, message))
        self._arrived.set()

    async def report(self, uid: str, record: EpochRecord) -> bool:
        """Keeps an epoch for the driver and returns its answer: whether to stop."""
        if uid in self._given_up:
            return True
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[uid] = answer
        await self.tell(EpochDone(uid, record))
        return await answer

    async def take(self, seen: int, *, waits: bool) -> list[tuple[int, Message]]:
        """Returns the messages after number `seen`; if it waits, at least one."""
        while self._kept and self._kept[0][0] <= seen:
            self._kept.popleft()
        while waits and not self._kept:
            self._arrived.clear()
            await self._arrived.wait()
        return list(self._kept)

    async def answer(self, uid: str, *, stop: bool) -> None:
        """Lets an attempt go on, or stop."""
        waiting = self._answers.pop(uid, None)
        if waiting is not None:
            waiting.set_result(stop)

    async def expect(self, uid: str) -> None:
        """Waits for an attempt again: a confirmation tries a lost training again under its uid."""
        self._given_up.discard(uid)

    async def give_up(self, uid: str) -> None:
        """Stops an attempt that is no longer waited for, should it still be alive."""
        self._given_up.add(uid)
        await self.answer(uid, stop=True)


@dataclass(frozen=True)
class SharedData:
    """Trial data that one attempt needs, mapped from its node's object store.

    Attributes:
        cuts: By name: the trial's own, then, if it has two phases, those that phase 2 can start
            from, the nearest first.
        files: Of the base, by name; none where there is one phase.
    """

    cuts: Mapping[str, CutData]
    files: Mapping[str, bytes]

    def load_cut(self, cut: str, *, judge: str | None) -> CutData:
        return self.cuts[cut]

    def phase_2_starts(self, hyperparameters: Mapping[str, Value]) -> Sequence[str]:
        return list(self.cuts)[1:]

    @property
    def base_key(self) -> str:
        # It holds the hash of the base's weights.
        return hashlib.sha256(self.files[MANIFEST]).hexdigest()

    def load_base(self) -> keras.Model:
        from pipeline.features.saved_base import load_saved_base

        with tempfile.TemporaryDirectory(prefix="base-") as folder:
            for name, content in self.files.items():
                Path(folder, name).write_bytes(content)
            return load_saved_base(Path(folder))

    def base_files(self) -> Mapping[str, bytes]:
        return self.files


@contextlib.contextmanager
def temporary_files_in(folder: str) -> Iterator[None]:
    """Makes this process write its temporary files into a folder meanwhile.

    TensorFlow writes one for each function that it compiles, and removes it when the process ends,
    which a worker of Ray's does by being killed.
    """
    earlier, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = earlier


def run_attempt(
    spec: TrialSpec,
    mailbox: Any,
    names: Sequence[str],
    *cuts_and_base: Any,
    train: Train | None,
    num_threads: int,
) -> tuple[TrialDone | TrialRaised, Files | None]:
    """Trains one trial; the function of the Ray task.

    Args:
        spec: What to train; its `model_file` is a path of the driver's machine.
        mailbox: The handle of a `Mailbox`.
        names: Of the cuts to train it on.
        cuts_and_base: The cuts' data, in that order, then the files of the base. Ray hands over
            what a reference stands for only if it is an argument of its own.
        train: The worker function, or None for TensorFlow's.
        num_threads: Of TensorFlow, >= 1.

    Returns:
        How it ended, and what the model's file and that of its answers hold, if the spec asks for
        them and there is a model.
    """

    # Futures, since a task that waits in `ray.get` lends its CPU to another one meanwhile.
    def report(record: EpochRecord) -> bool:
        return bool(mailbox.report.remote(spec.uid, record).future().result())

    def tell(message: Message) -> None:
        mailbox.tell.remote(message).future().result()

    with (
        tempfile.TemporaryDirectory(prefix="trial-") as folder,
        temporary_files_in(folder),
        FatalErrors(spec.uid, tell, driver_gone=(RayError,)),
    ):
        started = Started(spec.uid, os.getpid(), ray.get_runtime_context().get_node_id())
        if train is None:
            tell(replace(started, spare_seconds=START_SECONDS))
            train = tensorflow_worker(num_threads=num_threads)
        tell(started)
        file = None if spec.model_file is None else Path(folder) / "model.keras"
        here = replace(spec, model_file=None if file is None else str(file))
        try:
            *cuts, files = cuts_and_base
            data = SharedData(dict(zip(names, cuts, strict=True)), files)
            result = train(here, data, report)
        except InfeasibleTrialError as error:
            return TrialRaised(spec.uid, str(error), traceback.format_exc(), True), None
        kept = None if result.model_file is None else spec.model_file
        return TrialDone(spec.uid, replace(result, model_file=kept)), _files_of(result)


def _files_of(result: TrialResult) -> Files | None:
    """Returns what the model's file holds, and that of its answers where it was judged."""
    if result.model_file is None:
        return None
    answers = Path(answers_file(result.model_file))
    return Path(result.model_file).read_bytes(), answers.read_bytes() if answers.exists() else None


def write_files(model_file: str, model: bytes, answers: bytes | None) -> None:
    """Writes what came back of a training where its specification wants it, the model last."""
    if answers is not None:
        with write_whole(Path(answers_file(model_file))) as part:
            part.write_bytes(answers)
    with write_whole(Path(model_file)) as part:
        part.write_bytes(model)


@dataclass
class Attempt:
    """A trial that was handed to the cluster.

    Attributes:
        spec: What to train.
        reply: Ray's reference to its result.
        worker: Where it runs, once that is known.
        began: When it began there, seconds of `time.monotonic`.
        raised: The error that it ended with, until its worker process has ended too.
    """

    spec: TrialSpec
    reply: Any = None
    worker: Started | None = None
    began: float = 0.0
    raised: TrialRaised | None = None
