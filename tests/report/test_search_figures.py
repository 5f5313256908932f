"""Figures of a search, seen through what they write."""

import re

import pytest

from pipeline.report.search_figures import history, hyperparameter_effects, learning_curves
from pipeline.report.searches import summarize_search

SPACE = {
    "units": {"type": "int", "low": 16, "high": 64, "log": True, "step": 1},
    "num_layers": {"type": "int", "low": 1, "high": 3, "log": False, "step": 1},
    "activation": {"type": "choice", "choices": ["relu", "selu"]},
    "normalize_first": {"type": "choice", "choices": [False, True]},
    "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
}


def trial(number, value, state="COMPLETE", **hyperparameters):
    return {
        "number": number,
        "state": state,
        "value": value,
        "hyperparameters": hyperparameters,
        "intermediate_values": {"0": 0.5, "1": value} if value is not None else {},
        "user_attrs": {},
        "seconds": 1.0,
    }


@pytest.fixture
def summary():
    return summarize_search(
        {
            "objective": "val_accuracy",
            "direction": "maximize",
            "space": SPACE,
            "trials": [
                trial(0, 0.8, units=16, activation="relu", normalize_first=False, num_layers=2),
                trial(1, 0.9, units=64, activation="selu", normalize_first=True, num_layers=2),
                trial(2, 0.85, "PRUNED", units=32, activation="selu", num_layers=2),
                trial(3, None, "FAIL", units=32, activation="selu", num_layers=2),
                trial(4, 0.1, units=20, activation="relu", normalize_first=True, num_layers=2),
            ],
        }
    )


def texts(markup):
    return re.findall(r"<text [^>]*>([^<]*)</text>", markup)


def test_history_says_what_it_shows(summary):
    markup = history("h", summary)
    assert 'aria-label="validation accuracy of 5 trials by number; the best so far goes from 0.8' in (
        markup
    )
    wanted = {"best so far", "complete", "pruned", "failed or diverged", "trial"}
    assert wanted <= set(texts(markup))


def test_history_without_failures_has_no_mark_for_them(summary):
    summary.trials[:] = [t for t in summary.trials if t.outcome != "failed"]
    assert "failed or diverged" not in texts(history("h", summary))


def test_learning_curves_name_the_best_trial(summary):
    assert {"complete", "pruned", "best: trial 1", "epoch"} <= set(
        texts(learning_curves("c", summary))
    )


def test_each_hyperparameter_that_varied_has_a_figure(summary):
    # num_layers never varied, clipping_threshold never existed.
    figures = hyperparameter_effects("e", summary)
    assert list(figures) == ["units", "activation", "normalize_first"]


def test_choices_are_named_as_in_params_yaml(summary):
    figures = hyperparameter_effects("e", summary)
    assert {"relu", "selu"} <= set(texts(figures["activation"]))
    assert {"false", "true"} <= set(texts(figures["normalize_first"]))


@pytest.mark.parametrize("draw", [history, learning_curves])
def test_a_loss_is_drawn_too(summary, draw):
    loss = summarize_search(
        {
            "objective": "val_log_loss",
            "direction": "minimize",
            "space": {},
            "trials": [trial(0, 0.4), trial(1, 0.2), trial(2, 80.0)],
        }
    )
    assert "validation log loss" in texts(draw("l", loss))


@pytest.mark.parametrize("draw", [history, learning_curves])
def test_one_trial_is_enough(draw):
    one = summarize_search(
        {
            "objective": "val_accuracy",
            "direction": "maximize",
            "space": {},
            "trials": [trial(0, 0.9)],
        }
    )
    assert "trial" in draw("o", one)


def test_the_same_search_gives_the_same_figures(summary):
    assert hyperparameter_effects("e", summary) == hyperparameter_effects("e", summary)
