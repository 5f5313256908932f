"""Trials as tasks of a Ray cluster: this machine's own, or any other.

Ray never retries (`max_retries=0`): the driver does, as a new trial. A task's epochs and the
answers to them go through one asynchronous actor, its features come from the object store, which
holds each cut once on every node that trains on it, and its model comes back as bytes, so that no
file system is shared.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Hashable, Iterator
from typing import Any

import ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.errors import ConfigError
from pipeline.search.executors.base import (
    EpochDone,
    Event,
    Executor,
    Train,
    TrialLost,
    TrialRaised,
)
from pipeline.search.executors.ray_cluster import LOCAL, Cluster
from pipeline.search.executors.ray_errors import CONNECTION_LOST, WITH_MACHINE, last_line, reason
from pipeline.search.executors.ray_worker import (
    Attempt,
    Mailbox,
    Message,
    Started,
    run_attempt,
    write_files,
)
from pipeline.training.data import TrialData
from pipeline.training.messages import TrialSpec

logger = logging.getLogger(__name__)

# The first worker of a node may have to be installed by its autoscaler; here it takes 2 s.
MAILBOX_SECONDS = 60.0


class RayExecutor(Executor):
    """Runs trials as tasks of a Ray cluster.

    A cluster that grows or shrinks is followed. One that vanishes is connected to once more, or
    started again if it is this process's own.

    Args:
        address: As in `Cluster`.
        max_trials: Most trials at once, >= 1; None: as many as the cluster has room for.
        num_cpus: CPUs of one trial, > 0; TensorFlow takes as many threads, at least one.
        num_gpus: GPUs of one trial, >= 0; two trials of 0.5 share one, which does not limit the
            memory that either takes.
        trials_per_worker: A process is replaced after that many trials, >= 1, since TensorFlow
            never gives all its memory back; after each one where there are GPUs.
        trial_timeout_seconds: A trial that takes longer, from when its worker is ready, is ended
            by force and counts as lost.
        train: The worker function, importable by name; `training.worker.run_trial` unless given.

    Raises:
        ConfigError: If the cluster cannot be used, or can never run such a trial.
    """

    def __init__(
        self,
        address: str = LOCAL,
        *,
        max_trials: int | None = None,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        trials_per_worker: int = 50,
        trial_timeout_seconds: float | None = None,
        train: Train | None = None,
    ) -> None:
        self._address = address
        self._max_trials = max_trials
        self._needs = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self._trial_timeout_seconds = trial_timeout_seconds
        self._train = train
        self._attempts: dict[str, Attempt] = {}
        self._open()
        self._task = ray.remote(
            max_retries=0, max_calls=1 if num_gpus else trials_per_worker, **self._needs
        )(run_attempt)

    def _open(self) -> None:
        self._is_lost = False
        self._stored: dict[Hashable, Any] = {}
        self._cluster = Cluster(self._address, max_trials=self._max_trials, **self._needs)
        with contextlib.ExitStack() as on_error:
            on_error.callback(self._cluster.close)
            if self._cluster.num_slots == 0:
                self._warn_or_refuse()
            self._open_mailbox()
            on_error.pop_all()

    def _warn_or_refuse(self) -> None:
        needed = f"search.ray asks for {self._needs} for each trial, and no node has that"
        if self._cluster.address == LOCAL:
            raise ConfigError(f"{needed}. Received: a machine of {ray.cluster_resources()}.")
        logger.warning("%s yet: the search waits for one", needed)

    def _open_mailbox(self) -> None:
        here = NodeAffinitySchedulingStrategy(self._cluster.node_id, soft=False)
        actor = ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox)
        self._seen = 0
        try:
            self._mailbox = actor.remote()
            ray.get(self._take(waits=False), timeout=MAILBOX_SECONDS)
        except (exceptions.RayError, ImportError) as error:
            raise ConfigError(
                "The Ray cluster's nodes must have this project's libraries installed. "
                f"Received: address={self._address!r}: {last_line(error)}."
            ) from error
        self._taking = self._take(waits=True)

    def _take(self, *, waits: bool) -> Any:
        return self._mailbox.take.remote(self._seen, waits=waits)

    @property
    def num_free(self) -> int:
        if self._is_lost:
            return 0
        limit = self._cluster.num_slots
        if self._cluster.address != LOCAL and self._cluster.answers:
            # A task that waits is what makes an autoscaler add a node.
            limit = max(limit, 1) if self._max_trials is None else limit + 1
        limit = min(limit, self._max_trials or limit)
        return max(limit - len(self._attempts), 0)

    @property
    def pids(self) -> dict[str, int]:
        """Process id, on its own machine, by the uid of the trial it runs."""
        return {uid: each.worker.pid for uid, each in self._attempts.items() if each.worker}

    def submit(self, spec: TrialSpec, data: TrialData) -> None:
        if not self.num_free:
            raise ValueError(f"The cluster has no room for more trials. Received: {spec.uid!r}.")
        attempt = Attempt(spec)
        cuts = [str(spec.hyperparameters["cut"]), *data.phase_2_starts(spec.hyperparameters)]
        with self._noting_loss():
            self._mailbox.expect.remote(spec.uid)
            attempt.reply = self._task.options(name=spec.uid).remote(
                spec,
                self._mailbox,
                cuts,
                *(self._shared(data, cut, spec.judge) for cut in cuts),
                self._shared(data) if len(cuts) > 1 else {},
                train=self._train,
                num_threads=max(int(self._needs["num_cpus"]), 1),
            )
        self._attempts[spec.uid] = attempt

    @contextlib.contextmanager
    def _noting_loss(self) -> Iterator[None]:
        # All attempts are lost then, and the next `wait` says so.
        try:
            yield
        except CONNECTION_LOST:
            self._is_lost = True

    def _shared(self, data: TrialData, cut: str | None = None, judge: str | None = None) -> Any:
        """Returns a reference to a cut, or to the files of the base, which is stored once."""
        key = (data, cut, judge)
        if key not in self._stored:
            value = data.load_cut(cut, judge=judge) if cut else data.base_files()
            self._stored[key] = ray.put(value)
        return self._stored[key]

    def answer(self, uid: str, *, stop: bool) -> None:
        if uid in self._attempts:
            with self._noting_loss():
                self._mailbox.answer.remote(uid, stop=stop)

    def wait(self, timeout_seconds: float) -> list[Event]:
        events: list[Event] = []
        with self._noting_loss():
            self._cluster.check()
            self._is_lost = self._is_lost or self._cluster.is_lost
            if not self._is_lost:
                for event in self._listen(timeout_seconds):
                    events.append(event)
        # What was heard before is handed over first.
        return self._start_again() if self._is_lost and not events else events

    def _listen(self, timeout_seconds: float) -> Iterator[Event]:
        if not self._attempts:
            # The cluster has no room, or does not answer: there is nothing to hear.
            time.sleep(timeout_seconds)
            return
        replies = {attempt.reply: uid for uid, attempt in self._attempts.items()}
        watched = [self._taking, *replies]
        ray.wait(watched, num_returns=1, timeout=timeout_seconds)
        ready, _ = ray.wait(watched, num_returns=len(watched), timeout=0)
        ended = [replies[reply] for reply in ready if reply in replies]
        for message in self._messages(arrived=self._taking in ready, ended=bool(ended)):
            yield from self._heard(message)
        for uid in ended:
            yield self._end(uid)
        yield from self._give_up_hopeless()

    def _messages(self, *, arrived: bool, ended: bool) -> list[Message]:
        numbered: dict[int, Message] = {}
        if arrived:
            numbered |= dict(ray.get(self._taking))
        if ended:
            # A worker that fails says so and then ends; the end may be heard of first.
            numbered |= dict(ray.get(self._take(waits=False), timeout=MAILBOX_SECONDS))
        new = {number: numbered[number] for number in sorted(numbered) if number > self._seen}
        self._seen = max(new, default=self._seen)
        if arrived:
            self._taking = self._take(waits=True)
        return list(new.values())

    def _start_again(self) -> list[Event]:
        lost: list[Event] = [
            attempt.raised or TrialLost(uid, "the Ray cluster was lost", with_machine=True)
            for uid, attempt in self._attempts.items()
        ]
        self.close()
        self._open()
        return lost

    def _heard(self, message: Message) -> list[Event]:
        attempt = self._attempts.get(message.uid)
        if attempt is None:
            return []
        if isinstance(message, EpochDone):
            return [message]
        if isinstance(message, Started):
            attempt.worker, attempt.began = message, time.monotonic() + message.spare_seconds
        else:
            # Its process ends now, and its task with it: then it has really ended.
            attempt.raised = message
        return []

    def _end(self, uid: str) -> Event:
        attempt = self._attempts[uid]
        event: Event
        try:
            event, files = ray.get(attempt.reply)
        except exceptions.RayError as error:
            self._mailbox.give_up.remote(uid)
            event, files = attempt.raised or self._failure(attempt, error), None
        if files is not None:
            write_files(str(attempt.spec.model_file), *files)
        # Only now: if the connection breaks meanwhile, it is lost with all others.
        del self._attempts[uid]
        return event

    def _failure(self, attempt: Attempt, error: exceptions.RayError) -> Event:
        uid = attempt.spec.uid
        if isinstance(error, exceptions.RayTaskError):
            if not isinstance(error.cause, exceptions.RayError):
                # Outside of the worker function: such as a module that its machine does not have.
                return TrialRaised(uid, last_line(error), str(error), False)
            error = error.cause
        with_machine = isinstance(error, WITH_MACHINE)
        if with_machine and attempt.worker is not None:
            # Nothing more is started there.
            self._cluster.note_gone(attempt.worker.node_id)
        return TrialLost(uid, reason(error), with_machine)

    def _give_up_hopeless(self) -> Iterator[Event]:
        for loss in filter(None, [self._loss(each) for each in self._attempts.values()]):
            attempt = self._attempts[loss.uid]
            self._mailbox.give_up.remote(loss.uid)
            ray.cancel(attempt.reply, force=True)
            del self._attempts[loss.uid]
            yield attempt.raised or loss

    def _loss(self, attempt: Attempt) -> TrialLost | None:
        if attempt.worker is None:
            return None
        uid, limit = attempt.spec.uid, self._trial_timeout_seconds
        if limit is not None and time.monotonic() - attempt.began > limit:
            return TrialLost(uid, f"it took over {limit:g} s")
        # Where a machine hangs or is cut off, Ray knows it to be gone, yet waits for its tasks.
        if self._cluster.is_gone(attempt.worker.node_id):
            return TrialLost(uid, "its machine was lost", with_machine=True)
        return None

    def close(self) -> None:
        self._attempts.clear()
        self._stored.clear()
        self._cluster.close()
