"""The alias moves on evidence, and says why."""

from dataclasses import replace

import pytest

from pipeline.records.model_registry.champion import Champion, Evidence, decide

GOOD = Evidence(
    objective="val_accuracy",
    data_digest="ab" * 18,
    weights_sha256="11" * 32,
    mean=0.9440,
    low=0.9400,
    high=0.9480,
    n=5000,
    num_seeds=3,
)


def champion(**changes):
    return Champion(version="3", evidence=replace(GOOD, **changes))


def test_the_first_version_is_champion():
    decision = decide(GOOD, None)
    assert decision.moves
    assert decision.reason == "there was no champion yet"


def test_a_better_version_takes_over_and_both_figures_are_said():
    decision = decide(replace(GOOD, mean=0.947), champion())
    assert decision.moves
    assert "accuracy 0.9470" in decision.reason
    assert "is better than version 3's 0.9440" in decision.reason
    assert "n=5000, 3 seeds" in decision.reason


@pytest.mark.parametrize("mean", [0.9440, 0.9439, float("nan")])
def test_a_version_that_is_not_better_does_not(mean):
    decision = decide(replace(GOOD, mean=mean), champion())
    assert not decision.moves
    assert "is not better than version 3's" in decision.reason


@pytest.mark.parametrize(("mean", "moves"), [(0.19, True), (0.21, False)])
def test_a_loss_is_better_where_it_is_smaller(mean, moves):
    candidate = replace(GOOD, objective="val_log_loss", mean=mean)
    assert decide(candidate, champion(objective="val_log_loss", mean=0.2)).moves is moves


@pytest.mark.parametrize("change", [{"data_digest": "cd" * 18}, {"objective": "val_macro_f1"}])
def test_a_champion_that_was_judged_otherwise_gives_way_whatever_its_value(change):
    decision = decide(replace(GOOD, mean=0.5), champion(**change))
    assert decision.moves
    assert "not comparable" in decision.reason


def test_a_champion_made_by_hand_gives_way():
    assert decide(GOOD, Champion(version="3", evidence=None)).moves


def test_evidence_survives_as_tags():
    assert Evidence.from_tags({**GOOD.tags(), "other": "tag"}) == GOOD


@pytest.mark.parametrize("broken", [{}, {**GOOD.tags(), "confirmation.mean": "much"}])
def test_tags_without_evidence_are_none(broken):
    assert Evidence.from_tags(broken) is None
