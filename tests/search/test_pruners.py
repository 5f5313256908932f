"""Every pruner is built by its name, and a bad trial is stopped by those that compare."""

from typing import get_args

import optuna
import pytest
from pydantic import RootModel, ValidationError

from pipeline.search.pruners import Pruner

SETTINGS = {
    "none": {},
    "median": {"startup_trials": 2, "warmup_epochs": 0},
    "percentile": {"percentile": 50.0, "startup_trials": 2, "warmup_epochs": 0},
    "successive_halving": {"min_epochs": 1, "reduction_factor": 2},
    "hyperband": {"min_epochs": 1, "reduction_factor": 2},
    "patient": {"patience": 1},
    "threshold": {"lower": 0.4, "upper": 1.0, "warmup_epochs": 0},
}


def build(name):
    return RootModel[Pruner].model_validate({"name": name, **SETTINGS[name]}).root.build(8)


def is_pruned(pruner):
    study = optuna.create_study(direction="maximize", pruner=pruner)
    # Hyperband compares only within a bracket, so each needs some trials.
    for level in (0.9, 0.8, 0.7) * 5:
        trial = study.ask()
        for epoch in range(8):
            trial.report(level + epoch / 100, epoch)
            trial.should_prune()
        study.tell(trial, level)
    return any(is_stopped(study.ask()) for _ in range(5))


def is_stopped(bad):
    for epoch in range(7):
        bad.report(0.1 - epoch / 100, epoch)
        if bad.should_prune():
            return True
    return False


def test_the_settings_above_name_every_pruner():
    union = get_args(Pruner)[0]
    names = {get_args(member.model_fields["name"].annotation)[0] for member in get_args(union)}
    assert names == set(SETTINGS)


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"none"}))
def test_a_bad_and_falling_trial_is_stopped(name):
    assert is_pruned(build(name))


def test_none_stops_nothing():
    assert not is_pruned(build("none"))


def test_a_setting_of_another_pruner_is_refused():
    with pytest.raises(ValidationError, match="patience"):
        RootModel[Pruner].model_validate({"name": "none", "patience": 3})


def test_bounds_in_the_wrong_order_are_refused():
    threshold = {"name": "threshold", "lower": 0.9, "upper": 0.1, "warmup_epochs": 0}
    with pytest.raises(ValidationError, match=r"lower <= upper must hold. Received: lower=0\.9"):
        RootModel[Pruner].model_validate(threshold)


LATE = {
    "median": {"startup_trials": 1, "warmup_epochs": 3},
    "percentile": {"percentile": 50.0, "startup_trials": 1, "warmup_epochs": 3},
    "patient": {"patience": 2},
    "threshold": {"lower": 0.4, "upper": 1.0, "warmup_epochs": 3},
}


@pytest.mark.parametrize("name", sorted(LATE))
def test_a_hopeless_trial_is_stopped_at_its_first_judgement(name):
    section = RootModel[Pruner].model_validate({"name": name, **LATE[name]}).root
    study = optuna.create_study(direction="maximize", pruner=section.build(8))
    for level in (0.9, 0.8, 0.7) * 5:
        trial = study.ask()
        for epoch in range(8):
            trial.report(level + epoch / 100, epoch)
            trial.should_prune()
        study.tell(trial, level)
    assert num_epochs_of(study.ask()) == section.first_judgement(8) == 4
    assert section.first_judgement(2) == 2


def num_epochs_of(bad):
    """Trains a hopeless trial; returns the epochs after which it is stopped."""
    for epoch in range(8):
        bad.report(0.1 - epoch / 100, epoch)
        if bad.should_prune():
            return epoch + 1
    return 8


def test_without_a_pruner_a_trial_is_judged_at_its_end():
    section = RootModel[Pruner].model_validate({"name": "none"}).root
    assert section.first_judgement(8) == 8
