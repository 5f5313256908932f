"""Figures of single hyperparameters, seen through what they write."""

import re
from dataclasses import replace

import pytest

from pipeline.report.effects import hyperparameter_effects
from pipeline.report.summary import summarize_search
from pipeline.trials.bounds import Distribution
from testing.records import made_study, made_trial

SPACE = {
    "units": {"type": "int", "low": 16, "high": 64, "log": True, "step": 1},
    "num_layers": {"type": "int", "low": 1, "high": 3, "log": False, "step": 1},
    "activation": {"type": "choice", "choices": ["relu", "selu"]},
    "normalize_first": {"type": "choice", "choices": [False, True]},
    "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
}


def trial(number, value, state="COMPLETE", **hyperparameters):
    curve = {0: 0.5, 1: value} if value is not None else {}
    return made_trial(
        number, state, value, hyperparameters=hyperparameters, intermediate_values=curve
    )


@pytest.fixture
def summary():
    study = made_study(
        trial(0, 0.8, units=16, activation="relu", normalize_first=False, num_layers=2),
        trial(1, 0.9, units=64, activation="selu", normalize_first=True, num_layers=2),
        trial(2, 0.85, "PRUNED", units=32, activation="selu", num_layers=2),
        trial(3, None, "FAIL", units=32, activation="selu", num_layers=2),
        trial(4, 0.1, units=20, activation="relu", normalize_first=True, num_layers=2),
        space=SPACE,
    )
    return summarize_search(study)


def texts(markup):
    return re.findall(r"<text [^>]*>([^<]*)</text>", markup)


def test_each_hyperparameter_that_varied_has_a_figure(summary):
    # num_layers never varied, clipping_threshold never existed.
    figures = hyperparameter_effects("e", summary)
    assert list(figures) == ["units", "activation", "normalize_first"]


def test_choices_are_named_as_in_params_yaml(summary):
    figures = hyperparameter_effects("e", summary)
    assert {"relu", "selu"} <= set(texts(figures["activation"]))
    assert {"false", "true"} <= set(texts(figures["normalize_first"]))


def test_the_same_search_gives_the_same_figures(summary):
    assert hyperparameter_effects("e", summary) == hyperparameter_effects("e", summary)


def test_the_best_trial_has_a_ring(summary):
    ringed = hyperparameter_effects("e", summary)["units"]
    summary.trials[:] = [trial for trial in summary.trials if trial.number != 1]
    assert (
        ringed.count("#d9730d")
        == hyperparameter_effects("e", summary)["units"].count("#d9730d") + 1
    )


def test_a_trial_with_an_older_choice_is_left_out(summary):
    older, newer = (
        {**summary.space, "activation": Distribution(type="choice", choices=choices)}
        for choices in (["selu", "elu"], ["relu", "selu", "elu"])
    )
    figures = hyperparameter_effects("e", replace(summary, space=older))
    assert "activation" not in figures
    figures = hyperparameter_effects("e", replace(summary, space=newer))
    assert {"relu", "selu", "elu"} <= set(texts(figures["activation"]))
