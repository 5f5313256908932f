"""A study on a real PostgreSQL loses and doubles nothing, wherever the line to it breaks."""

import logging
import threading
import time
from types import SimpleNamespace

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from pipeline.errors import StudyError
from pipeline.records import retrying_storage as patient_storage
from pipeline.records.retrying_storage import PatientStorage
from pipeline.records.storage import open_storage, rename_study

RUNNING, WAITING, COMPLETE, FAIL = (
    TrialState[name] for name in ("RUNNING", "WAITING", "COMPLETE", "FAIL")
)
FLOAT = FloatDistribution(0.0, 1.0)


@pytest.fixture
def storage(postgres, proxy, tmp_path):
    """An empty store behind a line that can be cut."""
    name = postgres.new_database().rpartition("/")[2]
    opened = open_storage(tmp_path, postgres.url(name, port=proxy.port))
    yield opened
    opened.engine.dispose()


@pytest.fixture
def study(storage):
    return optuna.create_study(storage=storage, study_name="digits-mine", direction="maximize")


class Case:
    """A study with a running and a waiting trial, and how to look at them past every cache."""

    def __init__(self, storage, study):
        self.storage, self.study, self.study_id = storage, study, study._study_id
        self.running = study.ask()._trial_id
        study.enqueue_trial({"x": 0.5})
        (waiting,) = study.get_trials(states=(WAITING,))
        self.waiting = waiting._trial_id

    def trials(self):
        stored = optuna.storages.RDBStorage(self.storage.engine.url.render_as_string(False))
        return {trial._trial_id: trial for trial in stored.get_all_trials(self.study_id)}

    def states(self):
        return [trial.state for trial in self.trials().values()]

    def names(self):
        return sorted(study.study_name for study in optuna.get_all_study_summaries(self.storage))


def enqueue(case):
    case.storage.create_new_trial(
        case.study_id, create_trial(state=WAITING, user_attrs={"retry_of": 7})
    )


# For each method that writes: a call of it, and what must be true afterwards, whatever happened.
WRITES = {
    "create_new_trial": (
        lambda c: c.storage.create_new_trial(c.study_id),
        lambda c: c.states() == [RUNNING, WAITING, RUNNING],
    ),
    "create_new_trial from a template": (
        enqueue,
        lambda c: (
            c.states() == [RUNNING, WAITING, WAITING]
            and list(c.trials().values())[-1].user_attrs == {"retry_of": 7}
        ),
    ),
    "set_trial_state_values to RUNNING": (
        lambda c: c.storage.set_trial_state_values(c.waiting, RUNNING),
        lambda c: c.states() == [RUNNING, RUNNING],
    ),
    "set_trial_state_values to COMPLETE": (
        lambda c: c.storage.set_trial_state_values(c.running, COMPLETE, [0.25]),
        lambda c: c.states() == [COMPLETE, WAITING] and c.trials()[c.running].value == 0.25,
    ),
    "set_trial_state_values to FAIL": (
        lambda c: c.storage.set_trial_state_values(c.running, FAIL),
        lambda c: c.states() == [FAIL, WAITING],
    ),
    "set_trial_param": (
        lambda c: c.storage.set_trial_param(c.running, "x", 0.75, FLOAT),
        lambda c: c.trials()[c.running].params == {"x": 0.75},
    ),
    "set_trial_intermediate_value": (
        lambda c: c.storage.set_trial_intermediate_value(c.running, 3, 0.5),
        lambda c: c.trials()[c.running].intermediate_values == {3: 0.5},
    ),
    "set_trial_user_attr": (
        lambda c: c.storage.set_trial_user_attr(c.running, "seed", 5),
        lambda c: c.trials()[c.running].user_attrs == {"seed": 5},
    ),
    "set_trial_system_attr": (
        lambda c: c.storage.set_trial_system_attr(c.running, "cause", "none"),
        lambda c: c.trials()[c.running].system_attrs["cause"] == "none",
    ),
    "set_study_user_attr": (
        lambda c: c.storage.set_study_user_attr(c.study_id, "identity", "a"),
        lambda c: c.study.user_attrs == {"identity": "a"},
    ),
    "set_study_system_attr": (
        lambda c: c.storage.set_study_system_attr(c.study_id, "cause", "none"),
        lambda c: c.storage.get_study_system_attrs(c.study_id) == {"cause": "none"},
    ),
    "create_new_study": (
        lambda c: c.storage.create_new_study([StudyDirection.MAXIMIZE], "other"),
        lambda c: c.names() == ["digits-mine", "other"],
    ),
    "create_new_study without a name": (
        lambda c: c.storage.create_new_study([StudyDirection.MAXIMIZE]),
        lambda c: len(c.names()) == 2,
    ),
    "delete_study": (
        lambda c: c.storage.delete_study(c.study_id),
        lambda c: c.names() == [],
    ),
    "rename_study": (
        lambda c: rename_study(c.storage, "digits-mine", "digits-mine-aaaaaaaa"),
        lambda c: c.names() == ["digits-mine-aaaaaaaa"],
    ),
}


@pytest.mark.parametrize("is_answered", [True, False], ids=["answer-lost", "request-lost"])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_has_its_effect_once_when_the_line_breaks(
    storage, study, proxy, caplog, name, is_answered
):
    case = Case(storage, study)
    write, holds = WRITES[name]
    caplog.set_level(logging.INFO)
    proxy.cut(at=b"COMMIT", is_answered=is_answered)
    answer = write(case)
    assert "the study store answers again" in caplog.text
    assert answer is not False
    assert holds(case)


def test_every_method_that_writes_is_among_the_writes():
    names = {name for name in vars(BaseStorage) if name.startswith(("set_", "create_", "delete_"))}
    assert names == {name.partition(" ")[0] for name in WRITES} - {"rename_study"}


def test_a_trial_that_was_created_unheard_can_be_used(storage, study, proxy):
    proxy.cut(at=b"COMMIT", is_answered=True)
    trial = study.ask()
    study.tell(trial, trial.suggest_float("x", 0, 1))
    assert [t.state for t in study.trials] == [COMPLETE]


def test_a_trial_whose_creation_reaches_the_server_late_is_not_created_twice(storage, study, proxy):
    proxy.cut(at=b"COMMIT", is_answered=True, delay_seconds=1.0)
    study.enqueue_trial({"x": 0.5})
    time.sleep(1.5)
    assert [trial.state for trial in study.trials] == [WAITING]


def test_every_reading_outlasts_a_broken_line(storage, study, proxy):
    study.tell(study.ask(), 0.5)
    for read in (
        lambda: storage.get_all_trials(study._study_id),
        lambda: storage.get_best_trial(study._study_id),
        lambda: storage.get_all_studies(),
        lambda: storage.get_study_id_from_name("digits-mine"),
        lambda: storage.get_study_user_attrs(study._study_id),
        lambda: storage.get_study_system_attrs(study._study_id),
    ):
        expected = read()
        proxy.forsake()
        assert read() == expected


@pytest.mark.slow
def test_a_crash_of_the_server_costs_no_trial_and_doubles_none(postgres, tmp_path):
    storage = open_storage(tmp_path, postgres.new_database())
    study = optuna.create_study(storage=storage, study_name="digits-mine", direction="maximize")

    def crash():
        for _ in range(3):
            time.sleep(0.5)
            postgres.stop("immediate")
            time.sleep(0.3)
            postgres.start()

    crashes = threading.Thread(target=crash)
    crashes.start()
    values = []
    while crashes.is_alive() or len(values) < 60:
        trial = study.ask()
        assert trial.number == len(values)
        values.append(trial.suggest_float("x", 0, 1))
        trial.report(values[-1], 0)
        trial.set_user_attr("seed", trial.number)
        study.tell(trial, values[-1])
    assert [trial.value for trial in study.trials] == values
    assert [trial.user_attrs["seed"] for trial in study.trials] == list(range(len(values)))


def test_a_killed_connection_is_replaced_without_a_word(postgres, storage, study, caplog):
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'"
    )
    assert study.ask().number == 0
    assert caplog.text == ""


@pytest.fixture
def away(postgres, tmp_path):
    """A store whose server has stopped."""
    storage = open_storage(tmp_path, postgres.new_database())
    study = optuna.create_study(storage=storage, study_name="digits-mine")
    postgres.stop()
    yield storage, study
    postgres.start()


def test_an_outage_is_said_once_and_its_end_once(postgres, away, caplog):
    caplog.set_level(logging.INFO)
    timer = threading.Timer(1.0, postgres.start)
    timer.start()
    away[1].ask()
    timer.join()
    postgres.stop()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "does not answer (connection" in caplog.records[0].message
    assert "s3cret" not in caplog.text


def test_it_gives_up_in_one_line_and_does_not_wait_again(away, monkeypatch):
    storage, study = away
    storage._give_up_seconds = 0.5
    with pytest.raises(
        StudyError, match=r"must answer within 0 s: .*ann:\*\*\*@.*dvc repro"
    ) as told:
        study.ask()
    assert "\n" not in str(told.value)
    slept = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    monkeypatch.setattr(patient_storage, "time", clock)
    with pytest.raises(StudyError):
        study.get_trials()
    assert slept == []


def test_an_interrupted_search_does_not_wait_for_the_server(away, monkeypatch):
    monkeypatch.setattr(patient_storage, "INTERRUPTED_SECONDS", 0.5)
    begin = time.monotonic()

    def search():
        try:
            raise KeyboardInterrupt
        finally:
            away[1].get_trials()

    with pytest.raises(KeyboardInterrupt):
        search()
    assert time.monotonic() - begin < 60


def test_what_is_no_outage_is_raised_at_once(storage, study, caplog):
    trial = study.ask()
    study.tell(trial, 0.5)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial._trial_id, "seed", 1)
    with pytest.raises(KeyError):
        storage.get_trial(10_000)
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        storage.create_new_study([StudyDirection.MAXIMIZE], "digits-mine")
    assert caplog.text == ""


def test_a_guard_that_refuses_lets_nothing_be_written(storage, study):
    case = Case(storage, study)
    before = case.trials()

    def refuse():
        raise StudyError("taken")

    storage.guard = refuse
    for write, _ in WRITES.values():
        with pytest.raises(StudyError, match="taken"):
            write(case)
    assert case.trials() == before


def test_a_study_uses_it_as_it_is(storage, study):
    assert isinstance(study._storage, PatientStorage)
