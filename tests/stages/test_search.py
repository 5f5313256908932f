"""The stage goes on where a study was, keeps its budget, and leaves word of what is missing.

Stores, lock, driver and worker processes are real; a training takes no time.
"""

import json
import logging
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import optuna
import pytest

from pipeline.config import load_section
from pipeline.errors import StudyError
from pipeline.open_databases import DatabaseLostError
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import open_store
from pipeline.records.storage import open_storage
from pipeline.records.studies import trial_records
from pipeline.search.attempts import Attempts
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.sections import SearchParams
from pipeline.stages import search
from pipeline.studies.opened import open_runs
from pipeline.trials import identity
from testing import faults
from testing.split import split_record
from tests.commands.repository import Repository

STAMP = "mlruns/stages/search-tiny.json"


@pytest.fixture
def repository(tmp_path, monkeypatch, params_document):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    open_store(tmp_path).close()
    made = Repository(tmp_path, params_document)
    made.set(trials=2)

    def build_executor(params):
        return LocalExecutor(1, train=faults.train, trial_timeout_seconds=params.trial_timeout)

    monkeypatch.setattr(search, "build_executor", build_executor)
    return made


def stage(repository):
    """Runs the stage; returns the trials that it exported."""
    search.run("tiny", root=repository.folder)
    return repository.read("results/tiny/study.json")["trials"]


def begun(repository):
    """Opens the study as the stage does, for a search that was killed later."""
    study = repository.study()
    study.set_user_attr("comparable", "c" * 64)
    return study


def states(trials):
    return [trial["state"] for trial in trials]


def query(repository, sql):
    with closing(sqlite3.connect(repository.folder / "mlflow.db")) as connection:
        return connection.execute(sql).fetchall()


def stored(repository):
    return optuna.load_study(study_name="digits-tiny", storage=open_storage(repository.folder))


def test_a_finished_study_is_exported_again_without_a_worker(repository, monkeypatch):
    before = stage(repository)
    for name in ("results/tiny/study.json", "results/tiny/trials.csv", STAMP):
        (repository.folder / name).unlink()

    def build_executor(params):
        raise AssertionError("a worker is started")

    monkeypatch.setattr(search, "build_executor", build_executor)
    assert stage(repository) == before
    assert (repository.folder / STAMP).exists()


def test_a_whole_training_has_the_epochs_of_the_plan(repository):
    repository.set(epochs="auto", trials=1)
    repository.document["studies"]["tiny"]["base"] = "none"
    (repository.folder / "results").mkdir(exist_ok=True)
    plan = {"bases": {}, "reasons": {}, "explained": {}, "measured": {}, "epochs": {"none": 4}}
    (repository.folder / "results/plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (trial,) = stage(repository)
    assert len(trial["user_attrs"]["epochs"]) == 4


def test_trials_of_other_code_are_said_and_kept(repository, monkeypatch, caplog):
    before = stage(repository)
    assert "finished trials" not in caplog.text
    monkeypatch.setattr(identity, "training_code", lambda: "ab" * 32)
    assert stage(repository) == before
    assert "digits-tiny: finished trials of other code than the present: 2;" in caplog.text


def test_a_trial_that_a_kill_left_is_closed_and_tried_again(repository):
    study = begun(repository)
    left = repository.ask(study)
    trials = stage(repository)
    assert states(trials) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert trials[0]["user_attrs"]["reason"] == "the search was killed"
    assert trials[1]["hyperparameters"] == left.hyperparameters
    assert trials[1]["user_attrs"]["retry_of"] == 0
    found = query(repository, "select status, count(*) from runs group by 1 order by 1")
    # The study's own run, two trials, and the one that was cut off.
    assert found == [("FAILED", 1), ("FINISHED", 3)]


def test_a_trial_that_was_told_but_not_mirrored_gets_its_run(repository):
    repository.train(begun(repository))
    stage(repository)
    assert query(repository, "select count(*) from tags where key = 'trial_uid'") == [(2,)]


def test_a_lost_study_is_rebuilt_from_its_export_without_training(repository, monkeypatch):
    before = stage(repository)
    for file in repository.folder.glob("mlruns/optuna.db*"):
        file.unlink()
    monkeypatch.setattr(search, "build_executor", None)
    assert stage(repository) == before
    assert [trial.to_json() for trial in trial_records(stored(repository))] == before


def test_a_changed_space_takes_over_what_fits_and_trains_the_rest_of_the_target(repository):
    before = stage(repository)
    repository.document["studies"]["tiny"]["space"]["activation"]["choices"].append("elu")
    repository.set(trials=3)
    after = stage(repository)
    assert states(after) == ["COMPLETE"] * 3
    assert [t["value"] for t in after[:2]] == [t["value"] for t in before]
    taken = [trial["user_attrs"].get("taken_over_from", "") for trial in after]
    assert [name.partition("#")[2] for name in taken] == ["0", "1", ""]


def train_at_small_rates(spec, data, report):
    """A training that diverges at once at rates above 0.02."""
    if spec.hyperparameters["learning_rate"] <= 0.02:
        return faults.train(spec, data, report)
    return replace(
        faults.train(spec, data, lambda record: True), outcome="diverged", best_epoch=None
    )


def test_with_the_probe_no_rate_is_tried_above_the_largest_that_trains(
    repository, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(
        search, "build_executor", lambda params: LocalExecutor(1, train=train_at_small_rates)
    )
    repository.set(trials=8, learning_rate_probe=True)
    rates = [trial["params"]["learning_rate"] for trial in stage(repository)]
    found = stored(repository).user_attrs["learning_rate_probe"]
    (largest,) = [one["rate"] for one in found if one["is_sound"]]
    # The space goes up to 1.
    assert max(rates) <= largest <= 0.02
    assert len(rates) == 8
    assert "they diverge" in caplog.text
    caplog.clear()
    repository.set(trials=9)
    assert len(stage(repository)) == 9
    assert "at a rate of" not in caplog.text


def test_a_search_whose_time_is_up_says_so_in_the_study_until_it_is_done(repository):
    stage(repository)
    repository.set(trials=4, timeout="1s")
    # Python itself has been running for longer than that.
    assert states(stage(repository)) == ["COMPLETE"] * 2
    stopped = stored(repository).user_attrs["stopped"]
    assert (stopped["reason"], stopped["missing"]) == ("timeout", 2)
    repository.set(timeout="none")
    assert states(stage(repository)) == ["COMPLETE"] * 4
    assert stored(repository).user_attrs["stopped"] is None


def test_a_search_that_takes_its_time_and_lost_its_databases_trains_nothing(repository):
    # It ends where its space is exhausted, long before its time.
    repository.document["budget"] = "9h"
    for study in repository.document["studies"].values():
        study["space"] = {"activation": {"type": "choice", "choices": ["relu", "selu"]}}
    repository.set(trials="auto")
    before = stage(repository)
    shutil.rmtree(repository.folder / "mlruns")
    assert stage(repository) == before
    # With the stamp nothing was lost, and somebody wants more of it.
    assert len(stage(repository)) > len(before)


def test_a_search_whose_budget_is_spent_says_that_nothing_was_trained(repository, caplog):
    repository.document["budget"] = "1s"
    repository.set(trials="auto")
    before = stage(repository)
    assert "nothing was trained" not in caplog.text
    assert stage(repository) == before
    assert "nothing was trained, since its part of the budget is spent" in caplog.text


def test_a_search_whose_database_went_away_had_not_all_of_its_time(repository, monkeypatch):
    repository.document["budget"] = "9h"
    repository.set(trials="auto")
    with monkeypatch.context() as during:
        lose_after_a_trial(during, [repository.folder / "mlruns/optuna.db"])
        with pytest.raises(DatabaseLostError):
            stage(repository)
    # With the budget in it, the next search would take it for done.
    assert "budget_seconds" not in repository.read("results/tiny/study.json")


def test_replicates_are_trained_where_they_are_asked_for(repository):
    whole = {"units": 32, "activation": "relu", "learning_rate": 0.1, "clipping": "none"}
    for duplicates, num_copies in (("replicate", 0), ("reuse", 1)):
        repository.set(duplicates=duplicates, seed=num_copies)
        study = begun(repository)
        for _ in range(2):
            study.enqueue_trial(whole)
        trials = stage(repository)
        copies = [trial for trial in trials if "duplicate_of" in trial["user_attrs"]]
        assert len(copies) == num_copies
        assert states(trials) == ["COMPLETE"] * 2


def test_the_pruner_is_the_one_of_params_yaml(repository):
    pruner = {"name": "threshold", "lower": 2.0, "upper": 3.0, "warmup_epochs": 0}
    repository.set(pruner=pruner)
    with pytest.raises(StudyError, match="ran to its end: 2 were pruned"):
        stage(repository)
    assert [t.state for t in trial_records(stored(repository))] == ["PRUNED"] * 2


def test_configurations_of_params_yaml_come_first_and_once(repository):
    repository.document["studies"]["tiny"]["enqueue"] = [{"units": 17}]
    repository.set()
    assert stage(repository)[0]["hyperparameters"]["units"] == 17
    repository.set(trials=3)
    assert sum(t["system_attrs"].get("fixed_params") is not None for t in stage(repository)) == 1


def test_a_study_that_is_searched_is_left_as_it_is(repository):
    study = repository.study()
    repository.ask(study)
    with (
        study_lock(repository.folder, "digits-tiny"),
        pytest.raises(StudyError, match="is being worked on already, by process"),
    ):
        stage(repository)
    assert [trial.state for trial in trial_records(study)] == ["RUNNING"]
    assert query(repository, "select count(*) from runs") == [(0,)]


@pytest.mark.parametrize("name", ["_search", "_write_table", "runs.log_artifacts"])
def test_a_stage_that_is_cut_off_leaves_no_stamp(repository, monkeypatch, name):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    if name == "runs.log_artifacts":
        monkeypatch.setattr("pipeline.records.mirror.runs.StudyRuns.log_artifacts", killed)
    elif name == "_write_table":
        monkeypatch.setattr("pipeline.trials.study._write_table", killed)
    else:
        monkeypatch.setattr(search, name, killed)
    with pytest.raises(KeyboardInterrupt):
        stage(repository)
    assert not (repository.folder / STAMP).exists()


def test_the_password_of_a_store_is_not_recorded(repository):
    params = load_section(SearchParams, "search").model_copy(
        update={"storage": "postgresql://ann:s3cret@db/studies"}
    )
    with open_runs(
        repository.study(),
        params,
        name="tiny",
        base="none",
        split=split_record(),
        root=repository.folder,
    ):
        pass
    shown = dict(query(repository, "select key, value from params"))
    assert shown["search.storage"] == "postgresql://ann:***@db/studies"
    assert "s3cret" not in json.dumps(query(repository, "select * from tags"))


def lose_after_a_trial(monkeypatch, files):
    """Removes files when the first trial has been told and its record was handed on."""
    end = Attempts._end

    def end_and_lose(driver, *arguments, **options):
        end(driver, *arguments, **options)
        for file in files:
            file.unlink(missing_ok=True)

    monkeypatch.setattr(Attempts, "_end", end_and_lose)


LOST = {
    "optuna.db": ["mlruns/optuna.db"],
    "mlflow.db": ["mlflow.db"],
    "both": ["mlruns/optuna.db", "mlflow.db"],
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_a_database_that_goes_away_ends_the_search_and_leaves_what_is_known(
    repository, monkeypatch, caplog, lost
):
    repository.set(trials=4)
    files = [repository.folder / name for name in lost]
    with monkeypatch.context() as during:
        lose_after_a_trial(during, files)
        with pytest.raises(DatabaseLostError, match=r"must stay where it is.*pipeline restore`"):
            stage(repository)
    assert not any(file.exists() for file in files)
    assert not (repository.folder / STAMP).exists()
    assert "Traceback" not in caplog.text
    saved = repository.read("results/tiny/study.json")["trials"]
    assert saved[0]["state"] == "COMPLETE"
    assert "RUNNING" not in states(saved)
