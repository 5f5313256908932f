"""Importance on studies that are made so that the truth is known."""

import json

import numpy as np
import pytest

from pipeline.search.importance import importances, rank_agreement
from testing.records import made_study, made_trial

FLOAT = {"name": "FloatDistribution", "attributes": {"step": None, "low": 0.0, "high": 1.0}}
FLOAT["attributes"]["log"] = False
KIND = {"name": "CategoricalDistribution", "attributes": {"choices": ["none", "on"]}}


def drawn(generator):
    """A configuration: `strength` exists only where `kind` is on."""
    params = {
        "rate": float(generator.random()),
        "idle": float(generator.random()),
        "kind": ["none", "on"][int(generator.integers(2))],
    }
    distributions = {"rate": FLOAT, "idle": FLOAT, "kind": KIND}
    if params["kind"] == "on":
        params["strength"] = float(generator.random())
        distributions = {**distributions, "strength": FLOAT}
    return dict(params=params, hyperparameters=params, distributions=distributions)


def study_of(value, *, num_trials=60, seed=0, state=lambda params: "COMPLETE"):
    """A study whose values follow from the parameters by a known rule."""
    generator = np.random.default_rng(seed)
    trials = []
    for number in range(num_trials):
        told = drawn(generator)
        params = told["params"]
        trials.append(
            made_trial(number, state(params), value(params) + 0.01 * generator.random(), **told)
        )
    return made_study(*trials)


def by_name(study):
    return {one.name: one for one in importances(study).found}


def test_what_decides_is_found_and_what_does_not_is_not():
    found = by_name(study_of(lambda p: 1.0 - abs(p["rate"] - 0.2)))
    assert next(iter(found)) == "rate"
    assert found["rate"].is_clear
    assert not found["idle"].is_clear
    assert not found["kind"].is_clear


def test_a_hyperparameter_that_exists_only_sometimes_is_found():
    """Optuna's fANOVA would leave it out."""

    def value(params):
        return 0.5 - abs(params["strength"] - 0.8) if params["kind"] == "on" else -1.0

    found = by_name(study_of(value, num_trials=80))
    assert found["strength"].is_clear
    assert 0 < found["strength"].num_trials < 80
    assert not found["idle"].is_clear


def test_where_nothing_decides_nothing_is_clear():
    for seed in range(3):
        assert not any(one.is_clear for one in by_name(study_of(lambda p: 0.0, seed=seed)).values())


def test_pruned_trials_count_as_the_worst():
    """As Optuna has it, without them, all that is left has a rate that is good."""

    def state(params):
        return "PRUNED" if params["rate"] > 0.3 else "COMPLETE"

    study = study_of(lambda p: 0.0, num_trials=60, state=state)
    found = importances(study)
    assert found.num_worst > 30
    assert {one.name: one for one in found.found}["rate"].is_clear
    complete = [one for one in study.trials if one.state == "COMPLETE"]
    assert not by_name(made_study(*complete))["rate"].is_clear


def test_only_the_lowest_rung_counts():
    """Whole trainings are better, whatever their rate; mixed in, theirs would be called good."""
    low = study_of(lambda p: 1.0 - abs(p["rate"] - 0.2)).trials
    lowest = [made_trial(**{**vars(one), "share": 1 / 9}) for one in low]
    generator = np.random.default_rng(5)
    higher = [
        made_trial(100 + k, value=5.0, share=1.0, promoted_from=k, **drawn(generator))
        for k in range(20)
    ]
    found = importances(made_study(*lowest, *higher))
    assert found.num_trials == 60
    assert found.share == pytest.approx(1 / 9)
    assert found.found[0].name == "rate"


def test_a_configuration_that_was_reused_counts_once():
    study = study_of(lambda p: p["rate"], num_trials=12)
    again = [
        made_trial(**{**vars(study.trials[0]), "number": 12 + k, "duplicate_of": 0})
        for k in range(30)
    ]
    assert importances(made_study(*study.trials, *again)).num_trials == 12


def test_of_few_trials_nothing_is_said():
    assert importances(study_of(lambda p: p["rate"], num_trials=9)) is None


def test_the_same_study_gives_the_same_answer():
    study = study_of(lambda p: p["rate"])
    assert importances(study) == importances(study)


@pytest.mark.parametrize(("sign", "expected"), [(1, 1.0), (-1, -1.0)])
def test_rungs_that_order_alike_agree(sign, expected):
    low = [
        made_trial(k, value=k / 10, share=1 / 3, distributions={"rate": FLOAT}) for k in range(6)
    ]
    high = [made_trial(10 + k, value=sign * k / 10, share=1.0, promoted_from=k) for k in range(6)]
    assert rank_agreement(made_study(*low, *high)) == (expected, 6)


def test_distributions_are_those_that_optuna_writes():
    from optuna.distributions import distribution_to_json, json_to_distribution

    assert json.loads(distribution_to_json(json_to_distribution(json.dumps(FLOAT)))) == FLOAT
