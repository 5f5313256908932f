"""The page as a document: complete, self-contained, escaped, and the same for the same results."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from pipeline.evaluation.intervals import Interval
from pipeline.planning.plan import Plan
from pipeline.report.inputs import read_results
from pipeline.report.page import render, verdict, view_plan, view_study
from tests.report.example import write_example

VOID = {"meta", "link", "img", "br"}


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


def test_nothing_is_fetched_and_nothing_runs(outline, page):
    addresses = [
        value
        for _, attrs in outline.tags
        for key, value in attrs.items()
        if key in ("src", "href", "xlink:href", "data", "action", "srcset")
    ]
    assert {re.split("[:,]", address)[0][:4] for address in addresses} == {"data", *{
        address[:4] for address in addresses if address.startswith("#")}}  # fmt: skip
    assert not outline.of("script", "iframe", "object", "embed", "form")
    assert not re.search(r"@import|url\((?!#)|\son\w+=", page)


def test_a_policy_forbids_what_must_not_happen(outline):
    (policy,) = (m["content"] for m in outline.of("meta") if "http-equiv" in m)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


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
    assert not outline.of("script")
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
    assert sorted(re.findall(r"<h2>Study (.*)</h2>", page)) == ["a", "b-2", "c"]
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


def judged(study, labels, *, num_right):
    """The study with probabilities that are right on the first `num_right` images."""
    guesses = labels.copy()
    guesses[num_right:] = (guesses[num_right:] + 1) % 10
    accuracy = Interval(value=num_right / len(labels), low=0.8, high=0.9, n=len(labels))
    return replace(
        study,
        probabilities=np.eye(10, dtype=np.float32)[guesses],
        metrics={**study.metrics, "accuracy": accuracy},
    )


@pytest.fixture
def compare(results):
    def sentences(first_right, second_right):
        studies = [
            judged(study, results.labels, num_right=num_right)
            for study, num_right in zip(results.studies, (first_right, second_right), strict=True)
        ]
        return verdict(replace(results, studies=studies))

    return sentences


def test_a_clear_win_names_both_figures_n_and_the_paired_interval(compare):
    sentence = compare(945, 889)[0]
    assert sentence.startswith("Transfer beats scratch by 5.60 points: 94.50% against 88.90% of")
    assert "n = 1,000; 95% interval of the paired difference 4." in sentence


def test_a_clear_loss_says_so(compare):
    assert compare(889, 945)[0].startswith("Transfer loses to scratch by 5.60 points: 88.90%")


def test_a_difference_within_noise_is_no_win(compare):
    sentence = compare(900, 899)[0]
    assert "Transfer and scratch cannot be told apart: 90.00% against 89.90%" in sentence
    assert "0.00 to 0.30 points, includes 0" in sentence


def test_one_study_stands_by_itself(results):
    alone = replace(results, studies=[judged(results.studies[0], results.labels, num_right=900)])
    sentences = verdict(alone)
    assert sentences[0].startswith("Transfer classifies 90.00% of the test images correctly (n =")
    assert len(sentences) == 2


def test_every_other_study_gets_a_sentence(results):
    third = replace(results.studies[1], name="third")
    sentences = verdict(replace(results, studies=[*results.studies, third]))
    assert ["scratch" in sentences[0], "third" in sentences[1]] == [True, True]


def test_the_last_sentence_says_how_it_was_chosen(results):
    winner = results.studies[0].confirm.winner
    last = verdict(results)[-1]
    assert f"Transfer is trial {winner.number} of its search" in last
    assert "validation accuracy; on the confirmation part" in last
    assert "over 3 trainings" in last
    assert f"averages 3 trainings of trial {winner.number}. The test part" in last


def test_one_exported_training_is_no_average(results):
    first = results.studies[0]
    exported = first.confirm.exported
    confirm = replace(first.confirm, exported=replace(exported, members=exported.members[:1]))
    alone = replace(first, confirm=confirm)
    assert "averages" not in verdict(replace(results, studies=[alone]))[-1]


def timed(results, budget_seconds):
    """Returns the results of a search that took what time there was."""
    first, *others = results.studies
    search = replace(first.search, target=None, budget_seconds=budget_seconds)
    return replace(results, studies=[replace(first, search=search), *others])


def test_more_time_has_its_worth_where_time_decides(results):
    assert not any("minutes more" in sentence for sentence in verdict(results))
    found = re.fullmatch(
        r"With 15 minutes more of budget transfer would try about (\d+) more configurations; the "
        r"best validation accuracy on whole trainings is expected to improve by \d\.\d\d points, "
        r"and the best would be trained with further seeds\.",
        verdict(timed(results, 900.0))[-1],
    )
    assert found is not None
    assert int(found[1]) > 0


def test_a_search_that_took_its_time_is_given_more_of_it(lean):
    assert "dvc exp run -S budget=1800s " in render(timed(lean, 900.0))


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
    assert 'href="#plan"' in text
    assert 'href="#plan"' not in render(replace(lean, plan=None))
