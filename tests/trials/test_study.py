"""What a search leaves behind is whole, says the truth, or is not written."""

import csv
import json

import optuna
import pytest

from pipeline.errors import StudyError
from pipeline.records.storage import open_storage
from pipeline.records.studies import open_study, trial_dicts
from pipeline.search.queue import retire
from pipeline.trials import study as results

SPACE = {"units": {"type": "int", "low": 1, "high": 99}}


@pytest.fixture
def study(tmp_path):
    made = open_study(
        open_storage(tmp_path),
        retire=retire,
        name="digits-mine",
        identity="a" * 64,
        direction="maximize",
    )
    made.set_user_attr("comparable", "c" * 64)
    return made


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
        return results.export(
            trial_dicts(study),
            study_name=study.study_name,
            attrs=study.user_attrs,
            study="mine",
            dataset="digits",
            objective="val_accuracy",
            target=3,
            space=SPACE,
        )

    return export


def test_the_best_is_a_trial_that_ran_to_its_end(study, export, tmp_path):
    train(study, 0.5)
    train(study, 0.9, "PRUNED")
    train(study, 0.7)
    results.write(tmp_path / "out", export())
    assert json.loads((tmp_path / "out/study.json").read_text())["best_number"] == 2
    assert json.loads((tmp_path / "out/best.json").read_text())["value"] == 0.7
    with (tmp_path / "out/trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["state"], row["value"]) for row in rows] == [
        *(("COMPLETE", "0.5"), ("PRUNED", "0.9"), ("COMPLETE", "0.7")),
    ]


def test_without_a_trial_that_ran_to_its_end_it_says_what_to_change(study, export):
    train(study, 0.5, "PRUNED")
    with pytest.raises(StudyError, match="No trial of digits-mine ran to its end: 1 were pruned"):
        export()


@pytest.mark.parametrize("name", ["study.json", "best.json", "trials.csv"])
def test_a_file_that_is_being_written_does_not_replace_the_last_one(
    study, export, tmp_path, monkeypatch, name
):
    train(study, 0.5)
    results.write(tmp_path, export())
    before = (tmp_path / name).read_bytes()
    train(study, 0.6)

    def killed(self, target):
        if target.name == name:
            raise KeyboardInterrupt
        return replace(self, target)

    replace = type(tmp_path).replace
    monkeypatch.setattr(type(tmp_path), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        results.write(tmp_path, export())
    assert (tmp_path / name).read_bytes() == before
