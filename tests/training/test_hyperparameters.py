"""The table of hyperparameters agrees with params.yaml and with itself."""

import pytest

from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS, described


@pytest.mark.parametrize("name", list(HYPERPARAMETERS))
def test_every_default_is_legal(name, params_document):
    assert HYPERPARAMETERS[name].problem(params_document["defaults"][name]) is None


@pytest.mark.parametrize("name", list(HYPERPARAMETERS))
def test_every_hyperparameter_has_a_help_text(name):
    assert len(HYPERPARAMETERS[name].help) > 5


def test_what_a_choice_switches_off_does_not_exist(params_document):
    values = {**params_document["defaults"], "dropout": "none", "optimizer": "adam"}
    values = completed({}, SearchSpace({}, values))
    assert "dropout_rate" not in values
    assert "momentum" not in values
    assert "beta_1" in values


def test_an_open_interval_excludes_its_end():
    spec = HYPERPARAMETERS["dropout_rate"]
    assert spec.interval == "[0, 1)"
    assert spec.problem(0.0) is None
    assert spec.problem(1.0) == "must lie in [0, 1)"


def test_descriptions_round_numbers():
    assert (
        described({"learning_rate": 0.00123456, "units": 64}) == "learning_rate=0.001235, units=64"
    )
