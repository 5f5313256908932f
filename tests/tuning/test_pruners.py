"""Every pruner is built by its name, and a bad trial is stopped by those that compare."""

from typing import get_args

import optuna
import pytest
from pydantic import RootModel, ValidationError

from pipeline.tuning.pruners import Pruner

SETTINGS = {
    "none": {},
    "median": {"startup_trials": 2, "warmup_epochs": 0},
    "percentile": {"percentile": 50.0, "startup_trials": 2, "warmup_epochs": 0},
    "successive_halving": {"min_epochs": 1, "reduction_factor": 2},
    "hyperband": {"min_epochs": 1, "reduction_factor": 2},
    "patient": {"patience": 1},
    "threshold": {"lower": 0.4, "upper": 1.0, "warmup_epochs": 0},
    "wilcoxon": {"p_threshold": 0.2, "startup_epochs": 1},
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
