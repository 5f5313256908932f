"""The section `embed` refuses what cannot be embedded, without Keras."""

import pytest

from pipeline.config import parse_section
from pipeline.errors import ConfigError
from pipeline.features.params import EmbedParams

LITE0 = {"image_size": 64, "cuts": "auto"}


def parse(**changes):
    section = {
        "bases": {"efficientnet_lite0": LITE0},
        "pixels_size": 64,
        "batch_size": 256,
        "max_bytes": 10**9,
    }
    return parse_section(EmbedParams, "embed", {**section, **changes})


def test_the_projects_own_section_is_fine(params_document):
    params = parse_section(EmbedParams, "embed", params_document["embed"])
    assert {name: base.is_open for name, base in params.bases.items()} == {"auto": True}


def test_what_is_open_is_no_base_yet():
    (base,) = parse(bases={"mine": {**LITE0, "model": "auto"}}).bases.values()
    with pytest.raises(ConfigError, match=r"embed.bases.mine leaves its model or image_size to"):
        base.choice("mine")


def test_a_base_of_which_all_is_given_is_not_open():
    given = {"image_size": 64, "cuts": ["block4_add"]}
    assert not parse(bases={"efficientnet_lite0": given}).bases["efficientnet_lite0"].is_open
    for key in ("image_size", "cuts", "views"):
        opened = parse(bases={"efficientnet_lite0": {**given, key: "auto"}})
        assert opened.bases["efficientnet_lite0"].is_open


def test_no_base_is_allowed():
    assert parse(bases={}).bases == {}


def test_without_views_and_pooling_there_are_none():
    base = parse().bases["efficientnet_lite0"]
    assert (base.views.num_views, base.pooling) == (0, {})


def test_cuts_may_be_named():
    bases = {"efficientnet_lite0": {**LITE0, "cuts": ["block4_add"]}}
    assert parse(bases=bases).bases["efficientnet_lite0"].cuts == ["block4_add"]


def test_lists_of_cuts_are_read_by_their_names():
    entry = {**LITE0, "cuts": ["a", ["a:grid4", "b"], ["b"], "a+b:none"], "pooling": {"a": "grid2"}}
    base = parse(bases={"efficientnet_lite0": entry}).bases["efficientnet_lite0"]
    assert base.cuts == ["a", "a:grid4+b", "b", "a+b:none"]


def test_a_base_may_have_any_name():
    entry = {**LITE0, "model": "mobilenet", "weights": "random", "alpha": 0.25}
    choice = parse(bases={"narrow": entry}).bases["narrow"].choice("narrow")
    assert (choice.name, choice.model, choice.alpha) == ("narrow", "mobilenet", 0.25)


def test_a_base_is_by_default_the_one_of_its_name():
    choice = parse().bases["efficientnet_lite0"].choice("efficientnet_lite0")
    assert (choice.model, choice.weights, choice.input_range) == ("efficientnet_lite0", None, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bases": {"efficientnetlite0": LITE0}}, "Did you mean 'efficientnet_lite0'"),
        ({"bases": {"none": LITE0}}, "which does not begin with - and is not none"),
        ({"bases": {"mine": {**LITE0, "model": "vgg166"}}}, "mine: .* Did you mean 'vgg16'"),
        ({"bases": {"mine": {**LITE0, "model": "no.keras"}}}, "mine: model must be a file"),
        ({"bases": {"mobilenet": {**LITE0, "weights": "no.h5"}}}, "mobilenet: weights must be"),
        ({"bases": {"mobilenet": {**LITE0, "alpha": 0}}}, "mobilenet.alpha: .*greater than 0"),
        ({"bases": {"mine": {**LITE0, "input_range": [1, 0]}}}, r"black's below.*Received: \[1,"),
        ({"bases": {"mine": {**LITE0, "input_range": [0]}}}, r"such as \[0, 1\]. Received: \[0"),
        ({"bases": {"mine": {**LITE0, "input_range": "0-1"}}}, "mine.input_range: .*valid list"),
        ({"bases": {"xception": LITE0}}, "71 pixels or more. Received: image_size=64"),
        ({"bases": {"efficientnet_lite0": {**LITE0, "cuts": []}}}, "at least one"),
        ({"bases": {"efficientnet_lite0": {**LITE0, "cuts": ["a", "a"]}}}, "different layers"),
        ({"bases": {"efficientnet_lite0": {**LITE0, "size": 3}}}, "no such key"),
        (
            {"bases": {"efficientnet_lite0": {**LITE0, "cuts": ["a"], "pooling": {"b": "global"}}}},
            r"pooling must name layers that cuts lists. Received: b beside cuts=\['a'\]",
        ),
        (
            {
                "bases": {
                    "efficientnet_lite0": {**LITE0, "cuts": ["a+b"], "pooling": {"a+b": "grid2"}}
                }
            },
            r"Received: a\+b beside cuts.*each says its own, as in \[a:grid4, b\]",
        ),
        ({"bases": {"efficientnet_lite0": {**LITE0, "cuts": [["a", "a"]]}}}, r"cuts.*\['a', 'a'\]"),
        ({"bases": {"efficientnet_lite0": {**LITE0, "cuts": [[]]}}}, r"cuts.*valid string"),
        (
            {"bases": {"efficientnet_lite0": {**LITE0, "cuts": [["a", "b"], ["b", "a"]]}}},
            "different layers",
        ),
        (
            {"bases": {"efficientnet_lite0": {**LITE0, "cuts": [["a" * 100, "b" * 100]]}}},
            "at most 200 characters",
        ),
        (
            {"bases": {"efficientnet_lite0": {**LITE0, "pooling": {"b": "global"}}}},
            "Received: b beside cuts='auto'",
        ),
        (
            {"bases": {"efficientnet_lite0": {**LITE0, "starts": ["b"]}}},
            "starts must be left out where cuts is auto",
        ),
        (
            {"bases": {"efficientnet_lite0": {**LITE0, "cuts": ["a"], "pooling": {"a": "max"}}}},
            "pooling.a: .*'none', 'average', .* or 'global'. Received: 'max'",
        ),
        (
            {"bases": {"efficientnet_lite0": {**LITE0, "views": {"shift": {}}}}},
            "efficientnet_lite0.views.shift.max_shift: this key is missing",
        ),
        ({"batch_size": 0}, "embed.batch_size: must be auto, or .* at least 1. Received: 0"),
        ({"max_bytes": "1 GB"}, "embed.max_bytes: .* valid integer. Received: '1 GB'"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        parse(**changes)


def test_every_base_that_is_wrong_is_named():
    with pytest.raises(ConfigError, match=r"Unknown base: 'one'.*Unknown base: 'two'"):
        parse(bases={"one": LITE0, "two": LITE0})
