"""What stages leave behind is whole, says the truth, or is not written; it is read as written."""

import csv
import json
import shutil
from pathlib import Path

import optuna
import pytest

from pipeline.errors import DataIntegrityError, StudyError
from pipeline.records.storage import open_storage
from pipeline.records.studies import open_study, trial_records
from pipeline.search.queue import retire
from pipeline.trials.confirmation import (
    read_confirmation,
    write_confirmation,
)
from pipeline.trials.registration import registration_of, write_registration
from pipeline.trials.study import StudyRecord, exported_study, read_study, write_study
from pipeline.workspace import REGISTRATION_FILE, confirmation_file, study_file
from testing.records import made_study

SPACE = {"units": {"type": "int", "low": 1, "high": 99}}


@pytest.fixture
def study(tmp_path):
    return open_study(
        open_storage(tmp_path),
        retire=retire,
        name="digits-mine",
        identity="a" * 64,
        direction="maximize",
    )


def train(study, value, state="COMPLETE"):
    trial = study.ask()
    units = trial.suggest_int("units", 1, 99)
    trial.set_user_attr("hyperparameters", {"units": units})
    if state == "PRUNED":
        trial.set_user_attr("value", value)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        trial.report(value, 0)
        study.tell(trial, value)


@pytest.fixture
def export(study):
    def export():
        return made_study(*trial_records(study), study_name=study.study_name, space=SPACE)

    return export


def test_the_best_is_a_trial_that_ran_to_its_end(study, export, tmp_path):
    train(study, 0.5)
    train(study, 0.9, "PRUNED")
    train(study, 0.7)
    write_study(tmp_path, export())
    folder = tmp_path / "results/tiny"
    assert json.loads((folder / "study.json").read_text())["best_number"] == 2
    assert json.loads((folder / "best.json").read_text())["value"] == 0.7
    with (folder / "trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["state"], row["value"]) for row in rows] == [
        *(("COMPLETE", "0.5"), ("PRUNED", "0.9"), ("COMPLETE", "0.7")),
    ]


def test_without_a_trial_that_ran_to_its_end_it_says_what_to_change(study, export, tmp_path):
    train(study, 0.5, "PRUNED")
    with pytest.raises(StudyError, match="No trial of digits-mine ran to its end: 1 were pruned"):
        write_study(tmp_path, export())
    assert not (tmp_path / "results").exists()


def test_where_no_trial_ended_in_its_time_no_learning_rate_is_blamed(study, export, tmp_path):
    study.ask()
    with pytest.raises(StudyError, match=r"ended in its time\. Give it more of it\."):
        write_study(tmp_path, export())


@pytest.mark.parametrize("name", ["study.json", "best.json", "trials.csv"])
def test_a_file_that_is_being_written_does_not_replace_the_last_one(
    study, export, tmp_path, monkeypatch, name
):
    train(study, 0.5)
    write_study(tmp_path, export())
    file = tmp_path / "results/tiny" / name
    before = file.read_bytes()
    train(study, 0.6)

    def killed(self, target):
        if target.name == name:
            raise KeyboardInterrupt
        return replace(self, target)

    replace = type(tmp_path).replace
    monkeypatch.setattr(type(tmp_path), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_study(tmp_path, export())
    assert file.read_bytes() == before


WRITTEN = Path(__file__).parent / "written"


@pytest.fixture
def root(tmp_path):
    """A checkout with results as earlier releases wrote them, cut to a few trials and epochs."""
    for file in (study_file(tmp_path, "mine"), confirmation_file(tmp_path, "mine")):
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(WRITTEN / file.name, file)
    shutil.copy(WRITTEN / REGISTRATION_FILE.name, tmp_path / REGISTRATION_FILE)
    return tmp_path


def test_a_study_is_written_back_byte_for_byte(root):
    before = study_file(root, "mine").read_bytes()
    record = read_study(root, "mine")
    write_study(root, record)
    assert study_file(root, record.study).read_bytes() == before
    states = ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "WAITING"]
    assert [trial.state for trial in record.trials] == states
    assert record.trials[0].attributes["note of a user"] == [1, {"whatever": None}]


def test_a_confirmation_is_written_back_byte_for_byte(root):
    before = (WRITTEN / "confirm.json").read_bytes()
    record = read_confirmation(confirmation_file(root, "mine"))
    write_confirmation(root, record)
    assert confirmation_file(root, record.study).read_bytes() == before
    assert [trial.attributes["seed"] for trial in record.trials] == [
        training.seed for training in record.trainings
    ]


def test_a_registration_is_written_back_byte_for_byte(root):
    before = (root / REGISTRATION_FILE).read_bytes()
    write_registration(root, registration_of(root))
    assert (root / REGISTRATION_FILE).read_bytes() == before


def test_what_early_releases_left_out_of_a_study_is_made_up():
    content = json.loads((WRITTEN / "study.json").read_text())
    for name in ("study_uid", "comparable", "space", "best_number"):
        del content[name]
    for trial in content["trials"]:
        del trial["user_attrs"], trial["system_attrs"]
    record = StudyRecord.from_json(content)
    assert (record.study_uid, record.comparable, record.space) == ("", None, {})
    assert record.best.code_sha256 is None
    assert record.best.uid(study_uid="f" * 32).startswith("ffffffffffff-")


def test_what_early_releases_left_out_of_a_confirmation_is_made_up(root):
    file = confirmation_file(root, "mine")
    content = json.loads(file.read_text())
    for name in ("trainings", "identity", "code_sha256", "base_source", "top", "seeds", "epochs"):
        del content[name]
    for name in ("members", "verified", "file_sha256"):
        del content["exported"][name]
    del content["winner"]["metrics"]
    file.write_text(json.dumps({**content, "of_another_release": 1}))
    record = read_confirmation(file)
    assert (record.trials, record.base_source, record.exported.verified) == ([], {}, None)


def test_where_nothing_was_written_there_is_nothing(tmp_path):
    assert exported_study(tmp_path, "mine") is None
    assert registration_of(tmp_path) is None
    with pytest.raises(DataIntegrityError, match=r"There is no study\.json yet"):
        read_study(tmp_path, "mine")
