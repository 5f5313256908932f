"""What is changed about a winner, one hyperparameter at a time."""

import pytest

from pipeline.search.ablation import changes
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace

WRITTEN = {
    "units": {"type": "int", "low": 16, "high": 256, "log": True},
    "optimizer": {"type": "choice", "choices": ["adam", "adamw", "nesterov"]},
    "clipping": {"type": "choice", "choices": ["none", "clipvalue"]},
    "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
    "dropout_rate": {"type": "float", "low": 0.0, "high": 0.5},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
}
WINNER = {
    **{"units": 64, "optimizer": "adamw", "clipping": "clipvalue", "clipping_threshold": 0.5},
    **{"dropout_rate": 0.3, "learning_rate": 0.001},
}


@pytest.fixture
def space(params_document):
    return SearchSpace.parse(WRITTEN, {**params_document["defaults"], "cut": "pixels"})


@pytest.fixture
def winner(space):
    return completed(WINNER, space)


def by_name(found):
    return {one.name: one for one in found}


def test_each_searched_hyperparameter_is_put_back_to_its_default(space, winner):
    found = by_name(changes(winner, [], space))
    # The learning rate has its default, and no other trial has another.
    assert found.keys() == WRITTEN.keys() - {"learning_rate"}
    assert found["units"].value == space.defaults["units"]
    assert {one.source for one in found.values()} == {"default"}


def test_all_else_stays_as_it_is(space, winner):
    changed = by_name(changes(winner, [], space))["dropout_rate"].hyperparameters
    differing = {name for name in winner if winner[name] != changed[name]}
    assert differing == {"dropout_rate"}


def test_what_a_change_switches_off_is_gone_and_what_it_switches_on_has_its_default(space, winner):
    found = by_name(changes(winner, [], space))
    assert "clipping_threshold" not in found["clipping"].hyperparameters
    assert "weight_decay" in winner
    assert "weight_decay" not in found["optimizer"].hyperparameters
    nesterov = completed({**WINNER, "optimizer": "nesterov"}, space)
    back = by_name(changes(nesterov, [winner], space))["optimizer"].hyperparameters
    assert back["beta_1"] == space.defaults["beta_1"]
    assert "momentum" not in back


def test_where_the_winner_has_the_default_the_runner_up_says_the_value(space, winner):
    others = [winner, {**winner, "learning_rate": 0.004}, {**winner, "learning_rate": 0.002}]
    one = by_name(changes(winner, others, space))["learning_rate"]
    assert (one.value, one.source) == (0.004, "runner-up")


def test_the_most_important_come_first_and_second_values_last(space, winner):
    others = [{**winner, "units": 200, "dropout_rate": 0.1}]
    found = changes(winner, others, space, order=["dropout_rate", "units"])
    assert [one.name for one in found[:2]] == ["dropout_rate", "units"]
    assert [(one.name, one.value) for one in found[-2:]] == [("dropout_rate", 0.1), ("units", 200)]
    assert len({one.name for one in found[:-2]}) == len(found) - 2
