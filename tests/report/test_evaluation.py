"""The rows behind the tables of the test part, and the mistakes that are shown."""

import base64
import io
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation.metrics import CalibrationBin
from pipeline.report.evaluation import (
    MAX_CLASS_ROWS,
    MAX_SIDE,
    confusion_matrix,
    data_address,
    reliability_diagram,
    view_judgement,
)


@pytest.fixture(scope="module")
def view(results):
    return SimpleNamespace(**view_judgement(results.studies[0], results))


def test_scores_have_a_row_for_each_class(view, results):
    assert [row[0] for row in view.scores] == list(results.class_names)
    assert view.scores_note == ""


def test_many_classes_are_cut_to_the_worst(results):
    names = [f"class {index}" for index in range(60)]
    labels = np.arange(1_000) % 60
    probabilities = np.eye(60, dtype=np.float32)[labels]
    probabilities[labels == 59] = np.eye(60, dtype=np.float32)[0]
    study = replace(results.studies[0], probabilities=probabilities)
    split = replace(results.split, class_names=tuple(names))
    view = SimpleNamespace(**view_judgement(study, replace(results, labels=labels, split=split)))
    assert len(view.scores) == MAX_CLASS_ROWS
    assert view.scores[0][0] == "class 59"
    assert "40 classes of 60 with the lowest F1" in view.scores_note


def test_pictures_tell_what_the_probabilities_say(view, results):
    study = results.studies[0]
    assert len(view.pictures) == 24
    for picture in view.pictures:
        row = study.probabilities[picture["index"]]
        assert picture["predicted"] == results.class_names[row.argmax()]
        assert picture["actual"] == results.class_names[results.labels[picture["index"]]]
        assert picture["actual"] != picture["predicted"]


def test_a_sure_mistake_is_never_shown_as_certain(results):
    study = results.studies[0]
    probabilities = study.probabilities.copy()
    row = probabilities[study.wrong_indices[0]]
    row[row.argmax()] = 0.99999
    view = SimpleNamespace(**view_judgement(replace(study, probabilities=probabilities), results))
    assert view.pictures[0]["confidence"] == "99.9%"


def test_a_perfect_classifier_has_no_mistakes_to_show(results):
    study = replace(
        results.studies[0],
        probabilities=np.eye(10, dtype=np.float32)[results.labels],
        wrong_images=np.empty((0, 28, 28), np.uint8),
        wrong_indices=np.empty(0, np.int64),
    )
    view = SimpleNamespace(**view_judgement(study, results))
    assert (view.mistakes, view.pictures) == ([], [])


def texts(markup):
    return re.findall(r"<text [^>]*>([^<]*)</text>", markup)


def bins(*filled):
    return [
        CalibrationBin(low=0.0, high=0.5, confidence=None, accuracy=None, n=0),
        *(CalibrationBin(low=0.5, high=1, confidence=c, accuracy=a, n=n) for c, a, n in filled),
    ]


def test_the_confusion_matrix_has_every_count_but_zero_and_every_name():
    markup = confusion_matrix("m", np.array([[90, 10], [0, 77]]), ["cat", "dog"])
    assert [text for text in texts(markup) if text.isdigit()] == ["90", "10", "77"]
    assert texts(markup).count("cat") == texts(markup).count("dog") == 2
    assert "167 of 177 test images on the diagonal" in markup


def test_names_of_classes_are_escaped_and_shortened():
    markup = confusion_matrix("m", np.eye(2, dtype=int), ["<script>alert(1)</script>", "x" * 80])
    assert "<script" not in markup
    assert max(map(len, texts(markup))) < 40


def test_counts_are_legible_on_their_cells():
    # White on the dark cells of large shares, the page's own colour on the pale ones.
    markup = confusion_matrix("m", np.array([[90, 10], [30, 70]]), ["cat", "dog"])
    assert re.search(r"fill: #ffffff[^>]*>90</text>", markup)
    assert re.search(r"fill: currentColor[^>]*>10</text>", markup)


def test_many_classes_have_no_names_and_no_counts():
    markup = confusion_matrix("m", np.eye(60, dtype=int) * 5, [f"class {i}" for i in range(60)])
    assert texts(markup) == ["predicted", "actual"]


def test_a_class_without_test_images_is_no_error():
    markup = confusion_matrix("m", np.array([[5, 0], [0, 0]]), ["cat", "dog"])
    assert "5 of 5 test images" in markup


def test_the_reliability_diagram_states_the_error_and_skips_empty_bins():
    markup = reliability_diagram("r", bins((0.9, 0.8, 40)), ece=0.1)
    assert "in 1 bins" in markup
    assert "calibration error, is 0.1000" in markup


def test_a_bin_of_one_image_is_drawn():
    markup = reliability_diagram("r", bins((1.0, 1.0, 1), (0.6, 0.0, 1)), ece=0.3)
    assert "perfectly calibrated" in texts(markup)


def opened(address):
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


@pytest.mark.parametrize("shape", [(28, 28), (8, 12), (32, 32, 3)])
def test_small_images_keep_every_pixel(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.array(opened(data_address(image))), image)


def test_one_channel_is_gray():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    np.testing.assert_array_equal(np.array(opened(data_address(image))), image[..., 0])


def test_large_images_are_scaled_down_and_keep_their_shape():
    assert opened(data_address(np.zeros((512, 256, 3), np.uint8))).size == (MAX_SIDE // 2, MAX_SIDE)


def test_the_same_image_gives_the_same_bytes():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert data_address(image) == data_address(image.copy())
