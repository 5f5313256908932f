"""The page as a document: complete, self-contained, escaped, and the same for the same results."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.planning.plan import Plan
from pipeline.report.inputs import read_results
from pipeline.report.page import render, view_plan, view_study
from tests.report.example import write_example
from tests.report.test_answer import timed

VOID = {"meta", "link", "img", "br", "input"}


class Outline(HTMLParser):
    """Keeps what a browser would build: open tags, attributes, headings and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.problems, self.headings = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append((tag, self.getpos()))

    def of(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]


@pytest.fixture(scope="module")
def outline(page):
    return Outline(page)


def test_every_tag_is_closed(outline):
    assert (outline.open, outline.problems) == ([], [])


def test_headings_go_down_one_level_at_a_time(outline):
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(lower - upper <= 1 for upper, lower in steps)


def test_every_table_has_a_caption_and_every_head_a_scope(outline):
    assert len(outline.of("caption")) == len(outline.of("table")) >= 10
    assert all(attrs.get("scope") in ("col", "row") for attrs in outline.of("th"))


def test_every_image_has_an_alternative_text(outline):
    assert all(attrs["alt"] for attrs in outline.of("img"))
    assert all(attrs["aria-label"] for attrs in outline.of("svg"))
    assert len(outline.of("img")) == 2 * 24


def test_no_id_occurs_twice_and_every_reference_is_met(outline, page):
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'(?:url\(|href=")#([\w-]+)', page))
    assert referred <= set(ids)


def without_scripts(page):
    return re.sub("<script.*?</script>", "", page, flags=re.DOTALL)


def test_nothing_is_fetched(outline, page):
    addresses = [
        value
        for _, attrs in outline.tags
        for key, value in attrs.items()
        if key in ("src", "href", "xlink:href", "data", "action", "srcset")
    ]
    assert {re.split("[:,]", address)[0][:4] for address in addresses} == {"data", *{
        address[:4] for address in addresses if address.startswith("#")}}  # fmt: skip
    assert not outline.of("iframe", "object", "embed")
    assert not re.search(r"@import|url\((?!#)|\son\w+=", without_scripts(page))


def test_a_policy_lets_the_two_scripts_run_and_nothing_else(outline, page):
    (policy,) = (m["content"] for m in outline.of("meta") if "http-equiv" in m)
    found = re.findall("<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in found]
    assert len(hashes) == 2
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}'"
    )


def test_equal_results_give_equal_pages(lean):
    assert render(lean) == render(lean)


def test_it_says_what_was_found(page, results):
    study = results.studies[0]
    for text in (
        "<h1>fashion_mnist</h1>",
        "Transfer beats scratch by",
        f"{100 * study.metrics['accuracy'].value:.2f}%",
        study.search.identity,
        study.confirm.exported.weights_sha256,
        "models:/fashion_mnist-classifier@champion",
        "yes: there was no champion before",
        "left out as in test",
        "dvc exp run -S search.trials=40",
    ):
        assert text in page, text


def test_nothing_is_said_to_be_registered_where_nothing_is(lean):
    page = render(replace(lean, registration=None))
    assert "No model is registered yet." in page
    assert "models:/" not in page


def test_a_version_that_is_not_the_champion_is_named_by_number(lean):
    page = render(replace(lean, registration=replace(lean.registration, champion=False)))
    assert "models:/fashion_mnist-classifier/1" in page
    assert "@champion" not in page


def test_names_that_come_from_folders_cannot_become_markup(tmp_path):
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "R&D", "$x_1$"]
    write_example(tmp_path, class_names=names, n=200, num_trials=4, studies=("only",), searched=())
    page = render(read_results(tmp_path))
    outline = Outline(page)
    assert outline.of("script") == [{"type": "application/json", "id": "trials-data"}, {}, {}]
    assert all(attrs["src"].startswith("data:image/png") for attrs in outline.of("img"))
    assert not any(key.startswith("on") for _, attrs in outline.tags for key in attrs)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "R&amp;D" in page


def test_any_number_of_studies_with_any_objective_is_shown(tmp_path):
    write_example(
        tmp_path, studies=("a", "b-2", "c"), n=200, num_trials=4, num_seeds=1,
        objective="val_log_loss", image_shape=(12, 10, 3), registered=False,
        searched=("units", "activation"),
    )  # fmt: skip
    page = render(read_results(tmp_path))
    assert sorted(set(re.findall(r"<h3>Study (.*)</h3>", page))) == ["a", "b-2", "c"]
    assert "images of 12 x 10 x 3" in page
    assert "validation log loss, lowest is best" in page


@pytest.fixture(scope="module")
def view(lean):
    return view_study(lean.studies[0], lean)


def test_a_study_has_its_name_and_its_base(view):
    assert (view["name"], view["base"]) == ("transfer", "efficientnet_lite0")


def test_lineage_has_identity_and_weights(view):
    lineage = dict(view["lineage"])
    assert re.fullmatch("[0-9a-f]{64}", lineage["Identity"])
    assert re.fullmatch("[0-9a-f]{64}", lineage["SHA-256 of its weights"])


def test_a_search_that_took_its_time_is_given_more_of_it(lean):
    assert "dvc exp run -S budget=30m " in render(timed(lean, 900.0))


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
    assert dict(view["chosen"]) == {
        "model": "efficientnet_lite0",
        "image_size": "64",
        "cuts": "block4_add:grid2+block7_add:none, block4_add:grid2",
        "views": "hflip: yes",
        "starts": "none",
    }


def test_what_was_too_slow_has_no_scores():
    (view,) = view_plan(PLAN)
    assert view["candidates"] == [
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
    assert "Bases and sizes" not in render(replace(lean, plan=None))
