"""What the page says of how far a model holds."""

from dataclasses import replace

import pytest

from pipeline.report.trust import export_rows, view_trust


@pytest.fixture
def found(results):
    return results.studies[0].evaluation


def test_cost_and_dropout_are_facts(found):
    facts = dict(view_trust(found, 312.4)["facts"])
    assert facts["Images a second"] == "312 in onnxruntime on this machine"
    assert facts["Model file"] == "18.4 MB, 4,123,456 weights"
    told = facts["Mean of 20 passes with dropout"]
    assert told == "accuracy 91.00%, log loss 0.3000, calibration error 0.0200"


def test_each_corruption_has_its_change_with_interval(found):
    rows = view_trust(found, 312.4)["corruptions"]
    assert rows[2] == ["JPEG of quality 20", "80.0%", "-10.0 points", "-11.0 to -9.0"]
    assert len(rows) == 5


def test_what_is_left_out_is_shown_with_and_without_dropout(found):
    view = view_trust(found, 312.4)
    assert view["abstention_columns"][-1] == "With dropout"
    assert view["abstentions"][1] == ["10%", "900", "91.0%", "91.0%"]
    view = view_trust(replace(found, dropout=None), 312.4)
    assert view["abstentions"][1] == ["10%", "900", "91.0%"]
    assert len(view["abstention_columns"]) == 3


def test_one_network_and_an_ensemble_are_shown_side_by_side(results):
    rows = export_rows(results.studies[0].confirm.exported)
    assert rows[0] == ["one network", "0.9010", "0.2000", "1,200", "15.2", "4,000,000"]
    assert rows[1][0] == "3 networks"


def test_the_page_has_all_of_it(page):
    for text in ("How far it holds", "Studies compared on the same", "1e-09", "half as bright"):
        assert text in page
    assert "An ensemble of 3, shown to be better" in page
