"""The page says what was planned, and why."""

from dataclasses import replace

from pipeline.planning.plan import Plan
from pipeline.report.page import render
from pipeline.report.plan_view import view_plan

PART = {"depth": 3, "cut": "block4_add", "pooling": "grid2", "num_features": 160}
CANDIDATE = {
    "model": "efficientnet_lite0",
    "image_size": 64,
    "part": PART,
    "accuracy": 0.8614,
    "expected": 0.9021,
    "seconds_per_image": 0.0005,
    "num_images": 2000,
}
PLAN = Plan(
    bases={
        "auto": {
            "model": "efficientnet_lite0",
            "image_size": 64,
            "cuts": ["block4_add:grid2+block7_add:none", "block4_add:grid2"],
            "views": {"hflip": True},
            "starts": [],
        }
    },
    reasons={"auto": "efficientnet_lite0 at 64 pixels: for a <reason>."},
    explained={
        "auto": {
            "candidates": [
                CANDIDATE,
                {**CANDIDATE, "image_size": 224, "part": None, "seconds_per_image": 0.02},
            ]
        }
    },
    measured={},
)


def test_choices_are_words():
    (view,) = view_plan(PLAN)
    assert dict(view.chosen) == {
        "model": "efficientnet_lite0",
        "image_size": "64",
        "cuts": "block4_add:grid2+block7_add:none, block4_add:grid2",
        "views": "hflip: yes",
        "starts": "none",
    }


def test_what_was_too_slow_has_no_scores():
    (view,) = view_plan(PLAN)
    assert view.candidates == [
        ["efficientnet_lite0", "64", "2,000", "block4_add, grid2", "0.861", "0.902"],
        ["efficientnet_lite0", "224", "50", "too slow", "-", "-"],
    ]


def test_nothing_left_open_is_nothing_to_show():
    assert view_plan(Plan(bases={}, reasons={}, explained={}, measured={})) == []
    assert view_plan(None) == []


def test_the_page_has_it(lean):
    text = render(replace(lean, plan=PLAN))
    assert "for a &lt;reason&gt;." in text
    assert "Bases and sizes looked at for auto" in text
    assert 'href="#plan"' in text
    assert 'href="#plan"' not in render(replace(lean, plan=None))
