"""The rows behind the tables of a search."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.report.search import history, learning_curves, view_search
from pipeline.report.summary import in_table_order, summarize_search
from pipeline.report.text import DASH
from testing.records import made_study, made_trial


@pytest.fixture(scope="module")
def view(results):
    return SimpleNamespace(**view_search(results.studies[0]))


def test_trials_are_counted_by_outcome_with_their_share(view):
    facts = dict(view.facts)
    assert facts["Configurations wanted"] == "20"
    assert facts["Trials ended"] == (
        "20: 13 complete (65.0%), 5 pruned (25.0%), 1 diverged (5.0%), 1 failed (5.0%)"
    )


def test_trials_that_wait_are_not_counted(results):
    study = results.studies[0]
    trials = (*study.search.trials, made_trial(len(study.search.trials), "WAITING"))
    waiting = replace(study, search=replace(study.search, trials=trials))
    assert dict(view_search(waiting)["facts"])["Trials ended"].startswith("20: 13 complete (65.0%)")


def test_every_searched_hyperparameter_has_a_row_with_its_range(view, results):
    assert [row[0] for row in view.chosen] == list(in_table_order(results.studies[0].search.space))
    assert dict((row[0], row[2]) for row in view.chosen)["units"] == "64 to 512, log scale"


def test_what_was_not_searched_is_told_apart(view):
    assert view.fixed == ["schedule = cosine", "batch_size = 128"]


def test_a_searched_hyperparameter_that_the_winner_does_not_have_is_a_dash(lean):
    study = lean.studies[0]
    winner = study.confirm.winner
    values = {k: v for k, v in winner.hyperparameters.items() if k != "clipping_threshold"}
    confirm = replace(study.confirm, candidates=[replace(winner, hyperparameters=values)])
    view = SimpleNamespace(**view_search(replace(study, confirm=confirm)))
    assert ["clipping_threshold", "\u2014", "0.1 to 10, log scale"] in view.chosen


def test_the_confirmation_has_a_column_for_each_training(view, results):
    candidates = results.studies[0].confirm.candidates
    assert [row[0] for row in view.confirmation] == [str(one.number) for one in candidates]
    assert view.confirmation_columns[2:5] == ["Training 1", "Training 2", "Training 3"]
    assert {len(row) for row in view.confirmation} == {len(view.confirmation_columns)}


def test_candidates_that_there_was_less_time_for_have_fewer_trainings(results):
    study = results.studies[0]
    first, *others = study.confirm.candidates
    others = [replace(one, values=one.values[:1]) for one in others]
    confirm = replace(study.confirm, candidates=[first, *others])
    view = SimpleNamespace(**view_search(replace(study, confirm=confirm)))
    assert {len(row) for row in view.confirmation} == {len(view.confirmation_columns)}
    assert view.confirmation[1][3:5] == [DASH, DASH]


def test_the_best_trials_come_first_and_the_winner_is_among_them(view):
    values = [float(row[1].rstrip("%")) for row in view.top_trials]
    assert values == sorted(values, reverse=True)
    assert view.winner in [row[0] for row in view.top_trials]


def trial(number, value, state="COMPLETE", **hyperparameters):
    curve = {0: 0.5, 1: value} if value is not None else {}
    return made_trial(
        number, state, value, hyperparameters=hyperparameters, intermediate_values=curve
    )


def search(*values):
    """A search whose trials are all complete."""
    trials = [trial(number, value) for number, value in enumerate(values)]
    return summarize_search(made_study(*trials))


@pytest.fixture
def summary():
    study = made_study(
        trial(0, 0.8, units=16, activation="relu", normalize_first=False, num_layers=2),
        trial(1, 0.9, units=64, activation="selu", normalize_first=True, num_layers=2),
        trial(2, 0.85, "PRUNED", units=32, activation="selu", num_layers=2),
        trial(3, None, "FAIL", units=32, activation="selu", num_layers=2),
        trial(4, 0.1, units=20, activation="relu", normalize_first=True, num_layers=2),
    )
    return summarize_search(study)


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
    trials = [trial(0, 0.4), trial(1, 0.2), trial(2, 80.0)]
    loss = summarize_search(made_study(*trials, objective="val_log_loss"))
    assert "validation log loss" in texts(draw("l", loss))


@pytest.mark.parametrize("draw", [history, learning_curves])
def test_one_trial_is_enough(draw):
    assert "trial" in draw("o", search(0.9))


@pytest.mark.parametrize("draw", [history, learning_curves])
def test_the_same_search_gives_the_same_figure(summary, draw):
    assert draw("s", summary) == draw("s", summary)
