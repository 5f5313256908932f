"""Every study on one screen: why trials are missing, and who is at work."""

import fcntl
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta

import pytest

from pipeline.commands import status as status_command
from pipeline.errors import DataIntegrityError
from pipeline.records.lock import lock_folder, study_lock
from pipeline.records.overview import Holder, overview, read_holder
from pipeline.records.storage import open_storage
from pipeline.records.studies import open_study
from pipeline.search.queue import retire
from pipeline.studies import overviews
from pipeline.studies.described import describe
from pipeline.trials import identity
from testing.records import made_trial
from tests.commands.repository import run
from tests.conftest import ROOT

NOW = datetime(2026, 11, 21, 12, 0, 0)
ALIVE = Holder(pid=7, host="here", is_alive=True, began=NOW - timedelta(minutes=10))


def status(capsys, *arguments):
    assert run("status", *arguments) == 0
    return capsys.readouterr().out


def test_trials_by_state_and_the_best_are_shown(repository, capsys):
    study = repository.study()
    repository.train(study, (0.5, 0.75))
    repository.train(study, (0.4, 0.8125))
    repository.train(study, (0.1,), state="PRUNED")
    repository.ask(study)
    study.enqueue_trial({"units": 32})
    lines = status(capsys).splitlines()
    assert lines[0].split() == [
        *("study", "finished", "complete", "pruned", "failed", "running", "waiting"),
        *("best", "trained"),
    ]
    assert lines[1].split()[:-1] == [
        "tiny",
        "3/3",
        "2",
        "1",
        "0",
        "1",
        "1",
        "0.8125",
        "(trial",
        "1)",
    ]
    assert lines[2].split() == ["other", "0/3", "0", "0", "0", "0", "0", "-", "0:00"]


def test_trials_of_other_code_are_said(repository, capsys, monkeypatch):
    repository.train(repository.study(), (0.5, 0.75))
    assert "finished trials" not in status(capsys)
    monkeypatch.setattr(identity, "training_code", lambda: "ab" * 32)
    assert "tiny: finished trials of other code than the present: 1;" in status(capsys)
    found = json.loads(status(capsys, "--json"))["studies"]["tiny"]["code"]
    assert found == {"num_other": 1, "num_unknown": 0}


def test_the_stores_are_named_without_a_password(repository, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ann:secret@db/mlflow")
    out = status(capsys)
    assert f"studies: sqlite:///{repository.folder}/mlruns/optuna.db" in out
    assert "postgresql://ann:***@db/mlflow" in out
    assert "secret" not in out + status(capsys, "--json")


def test_it_makes_no_store(repository, capsys):
    status(capsys)
    assert not (repository.folder / "mlruns").exists()


def test_missing_trials_are_said(repository, capsys):
    repository.train(repository.study())
    assert "tiny: 2 trials are missing; `dvc repro` trains them" in status(capsys)
    repository.train(repository.study())
    assert "tiny: 1 trial is missing" in status(capsys)


def test_trials_of_other_params_are_not_counted(repository, capsys):
    study = repository.study()
    for _ in range(3):
        repository.train(study)
    repository.set(epochs=9)
    out = status(capsys)
    assert out.splitlines()[1].split()[:3] == ["tiny", "0/3", "3"]
    assert (
        "tiny: these trials are of other params, data or features: the next `dvc repro` begins "
        "with 0 finished trials and trains 3"
    ) in out
    tiny = json.loads(status(capsys, "--json"))["studies"]["tiny"]
    assert (tiny["kept"], tiny["missing"]) == (0, 3)
    repository.set(epochs=2)
    assert "other params" not in status(capsys)


def test_where_time_decides_no_number_of_trials_is_foretold(repository, capsys):
    repository.train(repository.study())
    repository.set(epochs=9, trials="auto")
    assert "begins with 0 finished trials and tries what there is time for" in status(capsys)


# The counterpart is what a study that may unfreeze layers has.
@pytest.mark.parametrize("known_as", ["comparable", "counterpart"])
def test_trials_that_another_space_takes_over_count(repository, capsys, known_as):
    study = repository.study()
    hashes = describe("tiny", root=repository.folder).hashes
    study.set_user_attr("comparable", getattr(hashes, known_as))
    for _ in range(2):
        repository.train(study)
    repository.document["studies"]["tiny"]["space"]["activation"]["choices"] += ["elu"]
    repository.set()
    assert "begins with 2 finished trials and trains 1" in status(capsys)


def test_a_study_that_was_put_aside_is_gone_on_with(repository, capsys):
    study = repository.study()
    for _ in range(2):
        repository.train(study)
    repository.set(epochs=9)
    repository.train(repository.study())
    repository.set(epochs=2)
    assert "begins with 2 finished trials and trains 1" in status(capsys)


@pytest.mark.parametrize("spoil", ["features", "space"])
def test_what_keeps_trials_from_being_compared_is_said(repository, capsys, spoil):
    repository.train(repository.study())
    if spoil == "features":
        (repository.folder / "data/features/none/manifest.json").unlink()
    else:
        repository.document["studies"]["tiny"]["space"]["units"]["low"] = 99
        repository.set()
    out = status(capsys)
    expected = {"features": "tiny: There is no manifest.json yet", "space": "low < high must hold"}
    assert expected[spoil] in out
    assert "tiny: 2 trials are missing" in out


def test_a_search_whose_time_was_over_says_so_until_its_target_is_reached(repository, capsys):
    study = repository.study()
    repository.train(study)
    stopped = {"reason": "timeout", "missing": 2, "at": "2026-11-21T14:02:00+00:00"}
    study.set_user_attr("stopped", stopped)
    expected = "tiny: 2 trials are missing: search.timeout was over at 2026-11-21 14:02:00+00:00"
    assert f"{expected}; `dvc repro -f search@tiny` goes on" in status(capsys)
    assert json.loads(status(capsys, "--json"))["studies"]["tiny"]["stopped"] == stopped
    repository.train(study)
    repository.train(study)
    assert "search.timeout" not in status(capsys)


def test_promotions_that_there_was_no_time_for_are_missing(repository, capsys):
    repository.set(rungs=2)
    study = repository.study()
    for value in (0.5, 0.75, 0.25):
        repository.train(study, (value,), share=1 / 3)
    stopped = {"reason": "timeout", "missing": 1, "at": "2026-11-21T14:02:00+00:00"}
    study.set_user_attr("stopped", stopped)
    assert "tiny: 1 trial is missing: search.timeout was over at" in status(capsys)
    repository.train(study, (0.625,), promoted_from=1, share=1.0)
    assert "tiny: 1 trial" not in status(capsys)


def test_a_running_search_is_shown_with_its_process_and_the_epochs_of_its_trials(
    repository, capsys
):
    study = repository.study()
    with study_lock(repository.folder, study.study_name):
        repository.train(study)
        repository.ask(study).trial.report(0.625, 0)
        repository.ask(study)
        lines = status(capsys).splitlines()
    (at_work,) = [line for line in lines if "is at work" in line]
    assert f"tiny: process {os.getpid()} on " in at_work
    assert "with 1 worker" in at_work
    assert "trials a minute" in at_work
    assert "  trial 1: 1 of 2 epochs, val_accuracy 0.6250" in lines
    assert "  trial 2: 0 of 2 epochs" in lines
    assert not any("missing" in line and line.startswith("tiny") for line in lines)


def test_a_killed_search_is_not_taken_for_a_running_one(repository, capsys):
    study = repository.study()
    code = (
        "import sys, time; from pathlib import Path\n"
        "from pipeline.records.lock import study_lock\n"
        "with study_lock(Path(sys.argv[1]), sys.argv[2]):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(repository.folder), study.study_name],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "held\n"
    assert read_holder(repository.folder, study.study_name).is_alive
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    holder = read_holder(repository.folder, study.study_name)
    assert (holder.pid, holder.is_alive) == (process.pid, False)
    assert "is at work" not in status(capsys)


@pytest.mark.parametrize("host", [platform.node(), "elsewhere"])
def test_a_name_that_a_killed_search_left_is_not_taken_for_one(repository, capsys, host):
    # The pid is by now that of another process, or the machine has another name.
    study = repository.study()
    with study_lock(repository.folder, study.study_name):
        file = lock_folder(repository.folder) / "digits-tiny.pid"
    file.write_text(f"{os.getpid()} on {host}", encoding="utf-8")
    holder = read_holder(repository.folder, "digits-tiny")
    assert (holder.pid, holder.host, holder.is_alive) == (os.getpid(), host, False)
    assert "is at work" not in status(capsys)


def test_a_search_that_gives_another_name_of_its_machine_is_at_work(repository):
    repository.study()
    with study_lock(repository.folder, "digits-tiny"):
        file = lock_folder(repository.folder) / "digits-tiny.pid"
        file.write_text("4242 on elsewhere", encoding="utf-8")
        holder = read_holder(repository.folder, "digits-tiny")
    assert (holder.pid, holder.host, holder.is_alive) == (4242, "elsewhere", True)
    assert holder.began is None


def test_a_look_at_the_lock_keeps_no_search_from_starting(repository):
    with study_lock(repository.folder, "digits-tiny"):
        pass
    look = os.open(lock_folder(repository.folder) / "digits-tiny.lock", os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    ending = threading.Timer(0.1, os.close, [look])
    ending.start()
    with study_lock(repository.folder, "digits-tiny"):
        ending.join()


def test_a_search_beside_its_own_database_is_found(repository, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    repository.set(storage=url)
    storage = open_storage(repository.folder, url)
    open_study(storage, retire=retire, name="digits-tiny", identity="a" * 64, direction="maximize")
    with study_lock(repository.folder, "digits-tiny", storage=storage):
        assert f"tiny: process {os.getpid()} on " in status(capsys)


def test_old_studies_are_counted(repository, capsys):
    repository.train(repository.study())
    repository.set(seed=99)
    repository.study()
    assert "old studies: 1; `python -m pipeline gc` shows what they hold" in status(capsys)


def test_machines_get_everything_as_json(repository, capsys):
    study = repository.study()
    repository.train(study)
    repository.ask(study).trial.report(0.5, 0)
    content = json.loads(status(capsys, "--json"))
    tiny = content["studies"]["tiny"]
    assert tiny["counts"] == {"COMPLETE": 1, "RUNNING": 1}
    assert (tiny["num_finished"], tiny["target"], tiny["missing"]) == (1, 3, 2)
    assert (tiny["best"]["number"], tiny["best"]["value"]) == (0, 0.75)
    assert tiny["best"]["hyperparameters"]["units"] >= 16
    assert tiny["running"] == [{"number": 1, "num_epochs": 1, "value": 0.5, "share": 1.0}]
    assert tiny["searched_by"] is None
    assert content["old_studies"] == 0
    assert set(content["stores"]) == {"studies", "runs"}


def test_where_the_time_of_the_budget_went_is_said(repository, capsys):
    study = repository.study()
    repository.train(study, (0.5, 0.75))
    spent = {
        "plan": {"seconds": 60.0, "key": "", "ended_for": 900.0},
        "search@tiny": {"seconds": 300.0, "key": "a", "ended_for": None},
        "search@of_a_study_that_is_gone": {"seconds": 800.0, "key": "b", "ended_for": 900.0},
    }
    repository.write("mlruns/clock.json", spent)
    (line,) = [line for line in status(capsys).splitlines() if line.startswith("budget")]
    assert line.startswith("budget 15:00: plan 1:00, search@tiny 5:00")
    assert line.endswith("; 9:00 left")


def test_while_a_stage_runs_it_is_said_what_comes_next(repository, capsys):
    study = repository.study()
    repository.train(study, (0.5, 0.75))
    graph = "stages: {plan: {}, search: {foreach: x}, report: {}}"
    (repository.folder / "dvc.yaml").write_text(graph)
    spent = {"plan": {"seconds": 60.0, "key": "", "ended_for": None}}
    repository.write("mlruns/clock.json", spent)
    (line,) = [line for line in status(capsys).splitlines() if line.startswith("now: ")]
    assert line.startswith("now: plan; budget 15:00: 1:00 spent, at most 14:00 left, then search@")
    assert line.endswith("; in the end report")


def test_how_busy_the_cores_were_is_said(repository, capsys, monkeypatch):
    monkeypatch.setattr(status_command, "num_cores", lambda: 2)
    repository.study()
    spent = {
        "plan": {"seconds": 60.0},
        "search@tiny": {"seconds": 300.0, "core_seconds": 540.0},
        "confirm@tiny": {"seconds": 100.0, "core_seconds": 140.0},
    }
    repository.write("mlruns/clock.json", spent)
    assert (
        "plan 1:00, search@tiny 5:00 (90% busy), confirm@tiny 1:40 (70% busy); searches and "
        "confirmations together (85% busy); 7:20 left"
    ) in status(capsys)


def test_what_became_of_each_rung_is_said(repository, capsys):
    study = repository.study()
    for value in (0.5, 0.75, 0.25):
        repository.train(study, (value,), share=1 / 3)
    repository.train(study, (0.625,), promoted_from=1)
    assert (
        "tiny: 1/3 of a training: 3, 1 went on, best 0.7500; whole trainings: 1, best 0.6250"
        in (status(capsys))
    )


def test_what_was_cut_off_has_not_failed(repository, capsys):
    study = repository.study()
    repository.train(study, (0.5,), state="FAIL", retry="free")
    repository.train(study, (0.5,), state="FAIL", retry="counted")
    said = status(capsys)
    *columns, trained = said.splitlines()[1].split()
    assert columns == ["tiny", "0/3", "0", "0", "1", "0", "0", "-"]
    # The trials of this test take as long as the machine takes to write them.
    assert re.fullmatch(r"0:0\d", trained)
    assert "tiny: 1 trial cut off, by the clock, a user or a lost machine" in said


def test_a_long_name_leaves_the_lines_short(repository, capsys):
    name = "a_study_whose_name_is_as_long_as_a_name_may_be_which_is_64_chars"
    repository.document["studies"] = {name: repository.document["studies"]["tiny"]}
    repository.set(trials=1000)
    study = repository.study(name)
    study.enqueue_trial({"units": 32})
    table = status(capsys).splitlines()[:2]
    assert all(len(line) <= 100 for line in table)
    assert table[1].startswith("a_study_whose_name_…")


def test_without_data_nothing_has_run(repository):
    (repository.folder / "data/split.json").unlink()
    with pytest.raises(DataIntegrityError, match=r"There is no split\.json yet.*`dvc repro`"):
        run("status")


def finished(minutes_ago, state="COMPLETE"):
    return made_trial(state=state, value=0.5, ended=NOW - timedelta(minutes=minutes_ago))


class TestRate:
    def look(self, trials, holder=ALIVE, target=20):
        told = {"target": target, "num_missing": target - len(trials), "direction": "maximize"}
        return overview(trials, **told, holder=holder, now=NOW)

    def test_it_is_of_this_search_alone(self):
        # Three in the ten minutes since it began, and many an hour before.
        one = self.look([finished(70)] * 8 + [finished(8), finished(6), finished(4)])
        assert one.trials_per_minute == pytest.approx(3 / 10)

    def test_only_the_last_ten_count(self):
        # Ten in the last five minutes, after a slow one.
        trials = [finished(5), *(finished(5 - (n + 1) / 2) for n in range(10))]
        assert self.look(trials).trials_per_minute == pytest.approx(10 / 5)

    def test_failed_trials_do_not_count(self):
        assert self.look([finished(2, "FAIL")]).trials_per_minute is None

    @pytest.mark.parametrize("holder", [None, Holder(pid=7, host="h", is_alive=False, began=None)])
    def test_there_is_none_while_nobody_searches(self, holder):
        one = self.look([finished(2)], holder=holder)
        assert (one.trials_per_minute, one.seconds_left, one.holder) == (None, None, None)


def test_the_time_to_the_target_is_a_range_at_the_pace_of_this_search(
    repository, capsys, monkeypatch
):
    repository.set(trials=20)
    study = repository.study()
    for _ in range(4):
        repository.train(study, (0.5,))
    began = datetime.now() - timedelta(seconds=8)
    holder = Holder(pid=7, host="here", is_alive=True, began=began)
    monkeypatch.setattr(overviews, "read_holder", lambda *arguments: holder)
    low, high = json.loads(status(capsys, "--json"))["studies"]["tiny"]["seconds_left"]
    assert 0 <= low < 32 < high < 500
    assert re.search(r"trials a minute, (\d+:\d\d|up) to \d+:\d\d left", status(capsys))


class TestOutlook:
    @pytest.fixture
    def searched(self, repository):
        repository.set(trials="auto")
        study = repository.study()
        for value in range(8):
            repository.train(study, (0.5 + value / 100,))
        return study

    def test_where_time_decides_it_is_said_what_more_would_bring(self, searched, capsys):
        assert re.search(
            r"tiny: another 15:00 of budget: about \d+ more configurations; the best val_accuracy "
            r"on whole trainings is expected to improve by 0\.0\d{3}",
            status(capsys),
        )
        found = json.loads(status(capsys, "--json"))["studies"]["tiny"]["outlook"]
        assert found["num_more"][0] > 0

    def test_nothing_is_said_of_trials_that_the_next_search_leaves(
        self, repository, searched, capsys
    ):
        repository.set(epochs=9)
        assert "another 15:00" not in status(capsys)

    @pytest.mark.parametrize("changes", [{"trials": 20}, {"timeout": "5m"}])
    def test_nothing_is_said_where_something_else_decides(
        self, repository, searched, capsys, changes
    ):
        repository.set(**changes)
        assert "another 15:00" not in status(capsys)


def test_it_loads_neither_tensorflow_nor_mlflow(repository):
    repository.train(repository.study())
    code = (
        "import sys; from pipeline.__main__ import main; main(['status'])\n"
        "print([n for n in ('tensorflow', 'keras', 'mlflow', 'sklearn', 'pandas', 'scipy') "
        "if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
