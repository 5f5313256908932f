"""What identifies a study on the page."""

import re

import pytest

from pipeline.report.views import view_study


@pytest.fixture(scope="module")
def view(lean):
    return view_study(lean.studies[0], lean)


def test_a_study_has_its_name_and_its_base(view):
    assert (view.name, view.base) == ("transfer", "efficientnet_lite0")


def test_lineage_has_identity_and_weights(view):
    lineage = dict(view.lineage)
    assert re.fullmatch("[0-9a-f]{64}", lineage["Identity"])
    assert re.fullmatch("[0-9a-f]{64}", lineage["SHA-256 of its weights"])
