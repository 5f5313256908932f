"""Figures of a search, seen through what they write."""

import re

import pytest

from pipeline.report.search_figures import history, learning_curves
from pipeline.report.summary import summarize_search


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


def search(*values):
    """A search whose trials are all complete."""
    trials = [trial(number, value) for number, value in enumerate(values)]
    return summarize_search(
        {"objective": "val_accuracy", "direction": "maximize", "space": {}, "trials": trials}
    )


@pytest.fixture
def summary():
    return summarize_search(
        {
            "objective": "val_accuracy",
            "direction": "maximize",
            "space": {},
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
    assert (
        'aria-label="validation accuracy of 5 trials by number; the best so far goes from 0.8'
        in (markup)
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
    assert "trial" in draw("o", search(0.9))


@pytest.mark.parametrize("draw", [history, learning_curves])
def test_the_same_search_gives_the_same_figure(summary, draw):
    assert draw("s", summary) == draw("s", summary)
