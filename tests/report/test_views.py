"""The rows behind the page's tables."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.views import MAX_CLASS_ROWS, view_study


@pytest.fixture(scope="module")
def view(results):
    return view_study(results.studies[0], results)


def test_trials_are_counted_by_outcome_with_their_share(view):
    facts = dict(view.facts)
    assert facts["Finished trials wanted"] == "20"
    assert facts["Trials started"] == (
        "20: 13 complete (65.0%), 5 pruned (25.0%), 1 diverged (5.0%), 1 failed (5.0%)"
    )


def test_every_searched_hyperparameter_has_a_row_with_its_range(view, results):
    assert [row[0] for row in view.chosen] == list(results.studies[0].search["space"])
    assert dict((row[0], row[2]) for row in view.chosen)["units"] == "64 to 512, log scale"


def test_what_was_not_searched_is_told_apart(view):
    assert view.fixed == ["batch_size = 128", "schedule = cosine"]


def test_a_searched_hyperparameter_that_the_winner_does_not_have_is_a_dash(lean):
    study = lean.studies[0]
    winner = dict(study.confirm["winner"])
    winner["hyperparameters"] = {
        k: v for k, v in winner["hyperparameters"].items() if k != "clipping_threshold"
    }
    view = view_study(replace(study, confirm={**study.confirm, "winner": winner}), lean)
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


def test_scores_have_a_row_for_each_class(view, results):
    assert [row[0] for row in view.scores] == results.class_names
    assert view.scores_note == ""


def test_many_classes_are_cut_to_the_worst(lean):
    names = [f"class {index}" for index in range(60)]
    labels = np.arange(1_000) % 60
    probabilities = np.eye(60, dtype=np.float32)[labels]
    probabilities[labels == 59] = np.eye(60, dtype=np.float32)[0]
    study = replace(lean.studies[0], probabilities=probabilities)
    split = {**lean.split, "class_names": names}
    view = view_study(study, replace(lean, labels=labels, split=split))
    assert len(view.scores) == MAX_CLASS_ROWS
    assert view.scores[0][0] == "class 59"
    assert "40 classes of 60 with the lowest F1" in view.scores_note


def test_pictures_tell_what_the_probabilities_say(view, results):
    study = results.studies[0]
    assert len(view.pictures) == 24
    for picture in view.pictures:
        row = study.probabilities[picture.index]
        assert picture.predicted == results.class_names[row.argmax()]
        assert picture.actual == results.class_names[results.labels[picture.index]]
        assert picture.actual != picture.predicted


def test_a_sure_mistake_is_never_shown_as_certain(lean):
    study = lean.studies[0]
    probabilities = study.probabilities.copy()
    row = probabilities[study.wrong_indices[0]]
    row[row.argmax()] = 0.99999
    view = view_study(replace(study, probabilities=probabilities), lean)
    assert view.pictures[0].confidence == "99.9%"


def test_a_perfect_classifier_has_no_mistakes_to_show(lean):
    study = replace(
        lean.studies[0],
        probabilities=np.eye(10, dtype=np.float32)[lean.labels],
        wrong_images=np.empty((0, 28, 28), np.uint8),
        wrong_indices=np.empty(0, np.int64),
    )
    view = view_study(study, lean)
    assert (view.mistakes, view.pictures) == ([], [])


def test_lineage_has_identity_and_weights(view):
    lineage = dict(view.lineage)
    assert re.fullmatch("[0-9a-f]{64}", lineage["Identity"])
    assert re.fullmatch("[0-9a-f]{64}", lineage["SHA-256 of its head's weights"])
