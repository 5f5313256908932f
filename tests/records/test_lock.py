"""A study is searched by one process, on one machine, at a time."""

import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from types import SimpleNamespace

import optuna
import pytest

from pipeline.errors import StudyError
from pipeline.records import retrying_storage as patient_storage
from pipeline.records.lock import lock_folder, study_lock
from pipeline.records.storage import open_storage

HOLD = (
    "import pathlib, sys, time\n"
    "from pipeline.records.lock import study_lock\n"
    "from pipeline.records.storage import open_storage\n"
    "root = pathlib.Path(sys.argv[1])\n"
    "with study_lock(root, 'digits-mine', storage=open_storage(root, sys.argv[2])):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(600)\n"
)


@pytest.fixture
def holder():
    """Starts processes that hold the lock of `digits-mine`."""
    started = []

    def hold(root, url="auto"):
        command = [sys.executable, "-c", HOLD, str(root), url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def elsewhere(tmp_path):
    """A folder that stands for another machine: nothing in it is shared but the database."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


@pytest.fixture
def take(database):
    """Takes the lock of `digits-mine` as another process would, once; returns the refusal."""

    def take(root, url=database):
        try:
            with study_lock(root, "digits-mine", storage=open_storage(root, url)):
                return None
        except StudyError as refusal:
            return str(refusal)

    return take


def test_a_second_process_is_refused_with_pid_and_host(tmp_path, holder, take):
    pid = holder(tmp_path).pid
    assert take(tmp_path, "auto") == (
        f"digits-mine is being worked on already, by process {pid} on {platform.node()}. "
        "Wait for it or end it."
    )


def test_another_checkout_with_the_same_database_is_refused(tmp_path, elsewhere, holder, take):
    url = f"sqlite:///{tmp_path}/studies.db"
    pid = holder(elsewhere, url).pid
    assert f"already, by process {pid} on " in take(tmp_path, url)
    (tmp_path / "linked.db").symlink_to(tmp_path / "studies.db")
    assert f"already, by process {pid} on " in take(tmp_path, f"sqlite:///{tmp_path}/linked.db")


def test_the_database_of_another_checkout_is_locked_where_that_locks_it(tmp_path, elsewhere):
    own = lock_folder(tmp_path)
    assert own == tmp_path / "mlruns/locks"
    assert lock_folder(elsewhere, f"sqlite:///{tmp_path}/mlruns/optuna.db") == own
    assert lock_folder(elsewhere, f"sqlite:///{tmp_path}/mlruns/mine.db") != own


def test_another_machine_is_refused_with_pid_and_host(tmp_path, elsewhere, database, holder, take):
    pid = holder(elsewhere, database).pid
    assert f"already, by process {pid} on {platform.node()}." in take(tmp_path)


def test_another_study_is_free(tmp_path, elsewhere, database, holder):
    holder(elsewhere, database)
    with study_lock(tmp_path, "digits-other", storage=open_storage(tmp_path, database)):
        pass


@pytest.mark.parametrize("url", ["auto", "database"])
def test_the_lock_ends_with_its_process(tmp_path, elsewhere, request, holder, take, url):
    url = request.getfixturevalue("database") if url == "database" else url
    root = elsewhere if url != "auto" else tmp_path
    process = holder(root, url)
    assert take(tmp_path, url) is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while take(tmp_path, url) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_pid_file_that_was_left_keeps_nobody_out(tmp_path):
    left = tmp_path / "mlruns/locks/digits-mine.pid"
    left.parent.mkdir(parents=True)
    left.write_text("1 on nowhere")
    with study_lock(tmp_path, "digits-mine"):
        assert left.read_text() == f"{os.getpid()} on {platform.node()}"
    assert not left.exists()


def test_the_lock_is_free_after_an_error(tmp_path, database, take):
    storage = open_storage(tmp_path, database)
    with pytest.raises(ZeroDivisionError), study_lock(tmp_path, "digits-mine", storage=storage):
        1 / 0  # noqa: B018
    assert take(tmp_path) is None


def test_the_lock_is_taken_again_after_the_server_restarts(
    postgres, database, tmp_path, elsewhere, take
):
    storage = open_storage(tmp_path, database)
    study = optuna.create_study(storage=storage, study_name="digits-mine")
    with study_lock(tmp_path, "digits-mine", storage=storage):
        postgres.stop("immediate")
        postgres.start()
        study.ask()
        assert f"already, by process {os.getpid()} on" in take(elsewhere)


def test_a_lock_whose_connection_alone_was_lost_is_taken_again(
    postgres, database, tmp_path, elsewhere, take
):
    storage = open_storage(tmp_path, database)
    study = optuna.create_study(storage=storage, study_name="digits-mine")
    with study_lock(tmp_path, "digits-mine", storage=storage):
        end_sessions(postgres, f"{os.getpid()} on %")
        study.ask()
        assert take(elsewhere) is not None


def test_a_search_whose_lock_another_took_writes_nothing_more(
    postgres, database, tmp_path, elsewhere, holder
):
    storage = open_storage(tmp_path, database)
    study = optuna.create_study(storage=storage, study_name="digits-mine")
    with study_lock(tmp_path, "digits-mine", storage=storage):
        trial = study.ask()
        end_sessions(postgres, f"{os.getpid()} on %")
        pid = holder(elsewhere, database).pid
        message = f"was taken by process {pid} on .* while its store was away from here"
        with pytest.raises(StudyError, match=message):
            study.tell(trial, 0.5)
        with pytest.raises(StudyError, match=message):
            trial.report(0.5, 0)
    assert [t.state.name for t in study.trials] == ["RUNNING"]


def test_what_was_under_way_when_another_took_the_lock_is_not_repeated(
    postgres, proxy, tmp_path, elsewhere, monkeypatch
):
    name = postgres.new_database().rpartition("/")[2]
    storage = open_storage(tmp_path, postgres.url(name, port=proxy.port))
    study = optuna.create_study(storage=storage, study_name="digits-mine")
    with study_lock(tmp_path, "digits-mine", storage=storage), ExitStack() as other:
        trial = study.ask()

        def sleep(_):
            end_sessions(postgres, f"{os.getpid()} on %")
            theirs = open_storage(elsewhere, postgres.url(name))
            other.enter_context(study_lock(elsewhere, "digits-mine", storage=theirs))

        monkeypatch.setattr(
            patient_storage, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
        )
        proxy.cut(at=b"UPDATE trials", is_answered=False)
        with pytest.raises(StudyError, match="was taken by process"):
            study.tell(trial, 0.5)
    assert [t.state.name for t in study.trials] == ["RUNNING"]


def test_a_connection_that_the_server_believes_alive_is_no_other_search(
    postgres, proxy, tmp_path, elsewhere, take
):
    name = postgres.new_database().rpartition("/")[2]
    storage = open_storage(tmp_path, postgres.url(name, port=proxy.port))
    study = optuna.create_study(storage=storage, study_name="digits-mine")
    with study_lock(tmp_path, "digits-mine", storage=storage):
        proxy.forsake()
        study.tell(study.ask(), 0.5)
        assert take(elsewhere, postgres.url(name)) is not None


def end_sessions(postgres, name):
    (ended,) = postgres.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        f"WHERE application_name LIKE '{name}'"
    )
    assert ended == (True,)
