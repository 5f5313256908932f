"""Figures stand alone as files, which a browser and MLflow show."""

from xml.etree import ElementTree

from pipeline.report.figures import study_figures
from testing.records import made_study, made_trial

STUDY = made_study(
    made_trial(0, value=0.5, intermediate_values={0: 0.25, 1: 0.5}),
    made_trial(1, value=0.75, intermediate_values={0: 0.5, 1: 0.75}),
)


def test_each_is_an_svg_with_a_size():
    figures = study_figures(STUDY)
    assert list(figures) == ["history.svg", "curves.svg"]
    for text in figures.values():
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.attrib["width"] == "940"  # MLflow shows nothing of one without.


def test_equal_studies_give_equal_files():
    assert study_figures(STUDY) == study_figures(STUDY)
