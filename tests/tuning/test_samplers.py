"""Every sampler repeats itself with its seed and stays within the space."""

import optuna
import pytest

from pipeline.errors import ConfigError
from pipeline.tuning.samplers import SAMPLERS, build_sampler


def proposals(name, seed, count=12):
    study = optuna.create_study(direction="maximize")
    found = []
    for index in range(count):
        study.sampler = build_sampler(name, seed=seed, index=index, target=count)
        trial = study.ask()
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        extra = trial.suggest_int("extra", 1, 9) if kind == "b" else 0
        study.tell(trial, rate + extra)
        found.append((rate, kind, extra))
    return found


@pytest.mark.parametrize("name", list(SAMPLERS))
class TestEverySampler:
    def test_the_same_seed_proposes_the_same_trials(self, name):
        assert proposals(name, 1) == proposals(name, 1)

    def test_another_seed_proposes_others(self, name):
        assert proposals(name, 1) != proposals(name, 2)

    def test_proposals_stay_within_their_bounds_and_differ(self, name):
        rates = [rate for rate, _, _ in proposals(name, 1)]
        assert all(1e-4 <= rate <= 1e-1 for rate in rates)
        assert len(set(rates)) == len(rates)

    def test_is_documented(self, name):
        assert len(SAMPLERS.get(name).__doc__) > 40


def test_an_unknown_sampler_lists_the_choices():
    with pytest.raises(ConfigError, match=r"Unknown sampler: 'tpee'\. Did you mean 'tpe'"):
        build_sampler("tpee", seed=0, index=0, target=1)
