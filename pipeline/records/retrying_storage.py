"""A study store on a server, which may go away in the middle of a search and come back.

Each call is repeated until the server answers. What makes that more than a loop: a connection may
break after the server has done what it was told and before it could say so. Then a second call must
notice the first, or a trial would be created twice, or told twice, or lost. For each method:

- reading, and setting parameters, values and attributes: the same call again changes nothing;
- creating a trial: it carries a number of its own, under which it is looked for first;
- changing a trial's state: done if the trial has that state;
- creating or deleting a study: done if it exists, or does not.

All of it rests on the study's lock: nobody else asks and tells this study.
"""

from __future__ import annotations

import copy
import functools
import logging
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.databases import first_line
from pipeline.errors import StudyError

if TYPE_CHECKING:
    from optuna.study import StudyDirection
    from sqlalchemy.engine import ExceptionContext

logger = logging.getLogger(__name__)

T = TypeVar("T")

GIVE_UP_SECONDS = 600.0
# After Ctrl-C a search has seconds to end. What it cannot say is put right at the next start.
INTERRUPTED_SECONDS = 3.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
# Classes of SQLSTATE that pass: connection lost, transaction rolled back, resources exhausted, and
# the server's operator or its crash.
PASSING = ("08", "40", "53", "57P")
# The attribute of a trial that tells the driver's requests apart.
REQUEST = "request"


class StorageUnreachableError(Exception):
    """The server cannot be reached, or has lost the connection in the middle of a call."""


def _through(way: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Returns a method of a storage that goes through `PatientStorage.outlast` or its `write`."""

    # Without its attributes, since it is no abstract method any more.
    @functools.wraps(getattr(BaseStorage, name), updated=())
    def method(self: PatientStorage, *args: object, **settings: object) -> object:
        return way(self, lambda: getattr(self._cached, name)(*args, **settings))

    return method


class PatientStorage(BaseStorage):  # type: ignore[misc]
    """Delegates to a store on a server, and repeats what the server did not answer.

    Args:
        backend: An open store, whose engine nothing else uses.
        shown: Its address for messages, without a password.
        give_up_seconds: How long an outage may last, > 0.

    Attributes:
        engine: SQLAlchemy's, for what Optuna cannot do.
        guard: Called before anything is written or repeated. Raises if this process may no longer
            write.
    """

    def __init__(
        self, backend: RDBStorage, *, shown: str, give_up_seconds: float = GIVE_UP_SECONDS
    ) -> None:
        self.engine = backend.engine
        self.guard: Callable[[], None] = _allow
        self._cached = get_storage(backend)
        self._shown = shown
        self._give_up_seconds = give_up_seconds
        event.listen(self.engine, "handle_error", _as_unreachable)
        # Warns of every statement that a broken connection had not finished.
        logging.getLogger("psycopg").setLevel(logging.ERROR)

    def outlast(self, call: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Returns what a call returns, repeated until the server answers.

        Args:
            call: What is done; raises StorageUnreachableError while it cannot be.
            again: What is done instead from the second time on, when nobody knows whether the last
                time had its effect; `call` unless given.

        Raises:
            StudyError: If the server has been away for too long.
        """
        # A search that is being interrupted calls from a `finally`.
        interrupt = sys.exception()
        try:
            return call()
        except StorageUnreachableError as error:
            reason = str(error)
        is_interrupted = isinstance(interrupt, KeyboardInterrupt | SystemExit)
        seconds = INTERRUPTED_SECONDS if is_interrupted else self._give_up_seconds
        answer = self._wait(again or call, reason, seconds=min(seconds, self._give_up_seconds))
        if answer:
            return answer[0]
        if is_interrupted and interrupt is not None:
            raise interrupt
        # Whoever cleans up after this error need not wait as long again, call by call.
        self._give_up_seconds = 0.0
        raise StudyError(
            f"The study store must answer within {seconds:.0f} s: {reason}. Received: "
            f"{self._shown}. Nothing that finished is lost: mend it and run `dvc repro`."
        )

    def _wait(self, call: Callable[[], T], reason: str, *, seconds: float) -> tuple[T] | None:
        start, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        logger.warning(
            "the study store does not answer (%s); waiting for it, at most %.0f s", reason, seconds
        )
        while time.monotonic() - start < seconds:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                self.guard()
                answer = call()
            except StorageUnreachableError:
                continue
            logger.info("the study store answers again, after %.1f s", time.monotonic() - start)
            return (answer,)
        return None

    def write(self, call: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Does the same, if the guard lets it."""

        def guarded() -> T:
            self.guard()
            return call()

        return self.outlast(guarded, again or call)

    # What must not be done twice.

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial = _numbered(template_trial)

        def create() -> int:
            return int(self._cached.create_new_trial(study_id, trial))

        def create_unless_created() -> int:
            found = self._created(study_id, trial.system_attrs[REQUEST])
            return create() if found is None else found

        return self.write(create, create_unless_created)

    def _created(self, study_id: int, request: str) -> int | None:
        # Whoever creates a trial locks its study first. If the server has not yet noticed that the
        # connection of the last attempt is gone, this waits until that attempt is decided.
        with self.engine.begin() as connection:
            query = text("SELECT 1 FROM studies WHERE study_id = :id FOR UPDATE")
            connection.execute(query, {"id": study_id})
        trials = self._cached.get_all_trials(study_id, deepcopy=False)
        same = (t._trial_id for t in reversed(trials) if t.system_attrs.get(REQUEST) == request)
        return next(same, None)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        def change() -> bool:
            return bool(self._cached.set_trial_state_values(trial_id, state, values))

        def change_unless_changed() -> bool:
            return self._cached.get_trial(trial_id).state == state or change()

        return self.write(change, change_unless_changed)

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        name = study_name or f"no-name-{uuid.uuid4()}"

        def create_unless_created() -> int:
            try:
                return int(self._cached.create_new_study(directions, name))
            except optuna.exceptions.DuplicatedStudyError:
                return int(self._cached.get_study_id_from_name(name))

        return self.write(
            lambda: int(self._cached.create_new_study(directions, name)), create_unless_created
        )

    def delete_study(self, study_id: int) -> None:
        def delete_unless_deleted() -> None:
            try:
                self._cached.delete_study(study_id)
            except KeyError:
                return

        self.write(lambda: self._cached.delete_study(study_id), delete_unless_deleted)

    # What may be done twice.

    set_study_user_attr = _through(write, "set_study_user_attr")
    set_study_system_attr = _through(write, "set_study_system_attr")
    set_trial_param = _through(write, "set_trial_param")
    set_trial_intermediate_value = _through(write, "set_trial_intermediate_value")
    set_trial_user_attr = _through(write, "set_trial_user_attr")
    set_trial_system_attr = _through(write, "set_trial_system_attr")

    # What changes nothing.

    get_study_id_from_name = _through(outlast, "get_study_id_from_name")
    get_study_name_from_id = _through(outlast, "get_study_name_from_id")
    get_study_directions = _through(outlast, "get_study_directions")
    get_study_user_attrs = _through(outlast, "get_study_user_attrs")
    get_study_system_attrs = _through(outlast, "get_study_system_attrs")
    get_all_studies = _through(outlast, "get_all_studies")
    get_trial = _through(outlast, "get_trial")
    get_trial_id_from_study_id_trial_number = _through(
        outlast, "get_trial_id_from_study_id_trial_number"
    )
    get_all_trials = _through(outlast, "get_all_trials")
    get_best_trial = _through(outlast, "get_best_trial")

    def remove_session(self) -> None:
        self._cached.remove_session()


def _allow() -> None:
    """Guards nothing."""


def _numbered(template: FrozenTrial | None) -> FrozenTrial:
    """Returns a trial to create that can be told from every other."""
    running = TrialState.RUNNING
    trial = copy.deepcopy(template) or optuna.trial.create_trial(state=running)
    trial.system_attrs = {**trial.system_attrs, REQUEST: uuid.uuid4().hex}
    return trial


def _as_unreachable(context: ExceptionContext) -> BaseException | None:
    # Raised in place of SQLAlchemy's error. Optuna would repeat a creation by itself, without
    # asking whether the first had its effect; an error that it does not know it lets through.
    if context.is_pre_ping:
        return None  # SQLAlchemy replaces the connection by itself.
    error = context.original_exception
    state = getattr(error, "sqlstate", None) or ""
    is_connecting = context.connection is None and isinstance(
        context.sqlalchemy_exception, SQLAlchemyError
    )
    if context.is_disconnect or is_connecting or state.startswith(PASSING):
        return StorageUnreachableError(first_line(error))
    return None
