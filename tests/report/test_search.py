"""The rows behind the tables of a search."""

from dataclasses import replace

import pytest

from pipeline.report.search import view_search
from pipeline.report.summary import in_table_order


@pytest.fixture(scope="module")
def view(results):
    return view_search(results.studies[0])


def test_trials_are_counted_by_outcome_with_their_share(view):
    facts = dict(view.facts)
    assert facts["Finished trials wanted"] == "20"
    assert facts["Trials started"] == (
        "20: 13 complete (65.0%), 5 pruned (25.0%), 1 diverged (5.0%), 1 failed (5.0%)"
    )


def test_every_searched_hyperparameter_has_a_row_with_its_range(view, results):
    assert [row[0] for row in view.chosen] == list(
        in_table_order(results.studies[0].search["space"])
    )
    assert dict((row[0], row[2]) for row in view.chosen)["units"] == "64 to 512, log scale"


def test_what_was_not_searched_is_told_apart(view):
    assert view.fixed == ["schedule = cosine", "batch_size = 128"]


def test_a_searched_hyperparameter_that_the_winner_does_not_have_is_a_dash(lean):
    study = lean.studies[0]
    winner = dict(study.confirm["winner"])
    winner["hyperparameters"] = {
        k: v for k, v in winner["hyperparameters"].items() if k != "clipping_threshold"
    }
    view = view_search(replace(study, confirm={**study.confirm, "winner": winner}))
    assert ["clipping_threshold", "\u2014", "0.1 to 10, log scale"] in view.chosen


def test_the_confirmation_has_a_column_for_each_training(view, results):
    candidates = results.studies[0].confirm["candidates"]
    assert [row[0] for row in view.confirmation] == [str(one["number"]) for one in candidates]
    assert view.confirmation_columns[2:5] == ["Training 1", "Training 2", "Training 3"]
    assert {len(row) for row in view.confirmation} == {len(view.confirmation_columns)}


def test_the_best_trials_come_first_and_the_winner_is_among_them(view):
    values = [float(row[1].rstrip("%")) for row in view.top_trials]
    assert values == sorted(values, reverse=True)
    assert view.winner in [row[0] for row in view.top_trials]
