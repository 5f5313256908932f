"""A confirmation training that is over is found again, unless what it follows from changed."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.search.kept_trainings import KeptTrainings
from pipeline.training.messages import TrialResult, TrialSpec, answers_file
from pipeline.trials.record import Epoch
from testing.records import made_training

CONDITIONS = {"identity": "ab" * 32, "code_sha256": "cd" * 32}
EPOCHS = [Epoch(epoch=0, metrics={"loss": 0.5}, at_ms=7)]


def spec_in(folder, uid="one", **changes):
    spec = TrialSpec(
        uid=uid,
        hyperparameters={"units": 8, "activation": "relu"},
        seed=3,
        epochs=2,
        judge="confirmation",
        model_file=str(folder / f"{uid}.keras"),
    )
    return replace(spec, **changes)


def result_of(spec, **changes):
    result = TrialResult(
        outcome="complete",
        best_epoch=1,
        metrics={"val_accuracy": 0.5, "confirmation_accuracy": 0.25},
        num_parameters=10,
        num_epochs=2,
        seconds=1.5,
        starts_from="block2",
        model_file=spec.model_file,
        weights_sha256="ef" * 32,
        notes={"stopped_early": True, "first_epoch": 1},
    )
    return replace(result, **changes)


@pytest.fixture
def kept(tmp_path):
    """One training, over."""
    made = KeptTrainings(tmp_path / "trainings", CONDITIONS)
    add(made, spec_in(made.folder))
    return made


def add(kept, spec, **changes):
    result = result_of(spec, **changes)
    (kept.folder / f"{spec.uid}.keras").write_bytes(b"weights of " + spec.uid.encode())
    Path(answers_file(spec.model_file)).write_bytes(b"answers")
    kept.keep(spec, result, made_training(spec.uid, epochs=EPOCHS))


def test_it_is_found_as_it_was(kept):
    spec = spec_in(kept.folder)
    found = KeptTrainings(kept.folder, CONDITIONS).find([spec])["one"]
    assert (found.result, found.record) == (result_of(spec), made_training("one", epochs=EPOCHS))


@pytest.mark.parametrize(
    "change",
    [
        {"uid": "two"},
        {"hyperparameters": {"units": 9, "activation": "relu"}},
        {"seed": 4},
        {"epochs": 3},
        {"objective": "val_log_loss"},
        {"judge": None},
    ],
)
def test_another_training_is_not_found(kept, change):
    assert kept.find([spec_in(kept.folder, **change)]) == {}


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_one_of_other_data_or_code_is_not_found(kept, name):
    other = KeptTrainings(kept.folder, {**CONDITIONS, name: "00" * 32})
    assert other.find([spec_in(kept.folder)]) == {}


@pytest.mark.parametrize("content", [None, b"", b"weights of another"])
def test_one_whose_model_is_not_the_one_is_not_found(kept, content):
    model = kept.folder / "one.keras"
    model.unlink()
    if content is not None:
        model.write_bytes(content)
    assert kept.find([spec_in(kept.folder)]) == {}


@pytest.mark.parametrize("name", ["one.json", "one.npy"])
def test_one_that_is_not_whole_is_not_found(kept, name):
    (kept.folder / name).unlink()
    assert kept.find([spec_in(kept.folder)]) == {}


@pytest.mark.parametrize(
    "change",
    [{"outcome": "stopped"}, {"metrics": {"val_loss": math.nan}}, {"notes": {"rate": math.inf}}],
)
def test_what_json_cannot_hold_is_not_kept_nor_what_was_stopped(kept, change):
    spec = spec_in(kept.folder, uid="two")
    add(kept, spec, **change)
    assert kept.find([spec]) == {}


def test_that_one_diverged_is_kept_though_it_has_no_model(kept):
    spec = spec_in(kept.folder, uid="two")
    result = result_of(spec, outcome="diverged", model_file=None)
    kept.keep(spec, result, made_training("two", epochs=EPOCHS))
    assert kept.find([spec])["two"].result == result
    kept.forget_others(["two"])
    assert [file.name for file in kept.folder.iterdir()] == ["two.json"]


def test_it_is_found_where_the_repository_was_moved_to(kept, tmp_path):
    folder = kept.folder.rename(tmp_path / "moved")
    spec = spec_in(folder)
    found = KeptTrainings(folder, CONDITIONS).find([spec])["one"]
    assert found.result.model_file == str(folder / "one.keras")


def test_what_no_report_tells_of_is_removed(kept):
    add(kept, spec_in(kept.folder, uid="two"))
    add(kept, spec_in(kept.folder, uid="three"), outcome="stopped")
    kept.forget_others(["one", "three"])
    names = sorted(file.name for file in kept.folder.iterdir())
    assert names == ["one.json", "one.keras", "one.npy"]
