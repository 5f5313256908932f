"""Figures of the test part, seen through what they write."""

import re

import numpy as np

from pipeline.report.judgement_figures import confusion_matrix, reliability_diagram


def texts(markup):
    return re.findall(r"<text [^>]*>([^<]*)</text>", markup)


def bins(*filled):
    return [
        {"low": 0.0, "high": 0.5, "confidence": None, "accuracy": None, "n": 0},
        *({"low": 0.5, "high": 1.0, "confidence": c, "accuracy": a, "n": n} for c, a, n in filled),
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
    markup = reliability_diagram("r", {"bins": bins((0.9, 0.8, 40)), "ece": 0.1})
    assert "in 1 bins" in markup
    assert "calibration error, is 0.1000" in markup


def test_a_bin_of_one_image_is_drawn():
    markup = reliability_diagram("r", {"bins": bins((1.0, 1.0, 1), (0.6, 0.0, 1)), "ece": 0.3})
    assert "perfectly calibrated" in texts(markup)
