"""A queue may name cuts by their roles, which the manifest gives a name."""

import pytest

from pipeline.search.cut_roles import cut_of_role, head_cuts, with_named_cuts, without_roles
from pipeline.search.distributions import Choice, IntRange
from pipeline.search.space import SearchSpace
from testing.features import embedded

CUTS = {
    "start": embedded(10),
    "low": embedded(20, rank=2),
    "high": embedded(40, rank=1),
    "low+high": embedded(parts={"low": 20, "high": 40}, rank=0),
}
DEFAULTS = {"num_layers": 1, "units_shape": "same"}
SETTINGS = {"cut": Choice(type="choice", choices=["low", "high", "low+high"])}


@pytest.mark.parametrize(
    ("role", "cut"), [("first", "low+high"), ("highest", "high"), ("lower", "low")]
)
def test_roles(role, cut):
    assert cut_of_role(role, CUTS) == cut


def test_what_only_phase_2_starts_from_is_no_head():
    assert head_cuts(CUTS) == ["low+high", "high", "low"]
    assert cut_of_role("lower", {name: CUTS[name] for name in ("start", "high")}) is None


def test_without_a_plan_heads_may_stand_everywhere():
    cuts = {"low": embedded(1), "high": embedded(2)}
    assert head_cuts(cuts) == ["high", "low"]
    assert cut_of_role("lower", cuts) == "low"


def test_names_take_the_place_of_roles():
    queue = [{"cut": "first", "units": 64}, {"cut": "low"}, {"units": 32}]
    settings = {**SETTINGS, "units": IntRange(type="int", low=16, high=128)}
    assert with_named_cuts(queue, CUTS, SearchSpace(settings, DEFAULTS)) == [
        {"cut": "low+high", "units": 64},
        {"cut": "low"},
        {"units": 32},
    ]


def test_a_role_that_nothing_has_is_left_out_and_said(caplog):
    caplog.set_level("INFO")
    cuts = {"high": CUTS["high"]}
    assert with_named_cuts([{"cut": "lower"}], cuts, SearchSpace({"cut": "high"}, {})) == []
    assert "enqueue.0 is left out: no further cut is the lower one" in caplog.text


def test_two_that_come_out_alike_are_one():
    cuts = {"high": CUTS["high"]}
    queue = [{"cut": "first"}, {"cut": "highest"}]
    assert with_named_cuts(queue, cuts, SearchSpace({"cut": "high"}, {})) == [{"cut": "high"}]


def test_before_anything_is_embedded_roles_are_left_open():
    assert without_roles([{"cut": "first", "units": 1}, {"cut": "low"}]) == [
        {"units": 1},
        {"cut": "low"},
    ]
