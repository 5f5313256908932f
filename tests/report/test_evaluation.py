"""The rows behind the tables of the test part, and the mistakes that are shown."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.evaluation import MAX_CLASS_ROWS, view_judgement


@pytest.fixture(scope="module")
def view(results):
    return view_judgement(results.studies[0], results)


def test_scores_have_a_row_for_each_class(view, results):
    assert [row[0] for row in view.scores] == results.class_names
    assert view.scores_note == ""


def test_many_classes_are_cut_to_the_worst(results):
    names = [f"class {index}" for index in range(60)]
    labels = np.arange(1_000) % 60
    probabilities = np.eye(60, dtype=np.float32)[labels]
    probabilities[labels == 59] = np.eye(60, dtype=np.float32)[0]
    study = replace(results.studies[0], probabilities=probabilities)
    split = {**results.split, "class_names": names}
    view = view_judgement(study, replace(results, labels=labels, split=split))
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


def test_a_sure_mistake_is_never_shown_as_certain(results):
    study = results.studies[0]
    probabilities = study.probabilities.copy()
    row = probabilities[study.wrong_indices[0]]
    row[row.argmax()] = 0.99999
    view = view_judgement(replace(study, probabilities=probabilities), results)
    assert view.pictures[0].confidence == "99.9%"


def test_a_perfect_classifier_has_no_mistakes_to_show(results):
    study = replace(
        results.studies[0],
        probabilities=np.eye(10, dtype=np.float32)[results.labels],
        wrong_images=np.empty((0, 28, 28), np.uint8),
        wrong_indices=np.empty(0, np.int64),
    )
    view = view_judgement(study, results)
    assert (view.mistakes, view.pictures) == ([], [])
