"""The sampler's first choices against as many configurations drawn at random."""

from datetime import datetime, timedelta

from pipeline.search.random_reference import random_reference
from testing.records import made_study, made_trial

START = datetime(2026, 1, 1)
LOWEST = {"distributions": {"rate": {}}, "share": 1 / 3}


def one_after_another(values, *, num_queued=0):
    trials = []
    for number, value in enumerate(values):
        queued = {"fixed_params": {"rate": 1}} if number < num_queued else {}
        began = START + timedelta(minutes=number)
        trials.append(
            made_trial(
                number, value=value, system_attributes=queued, started=began,
                ended=began + timedelta(seconds=50), **LOWEST,
            )
        )  # fmt: skip
    return made_study(*trials)


def test_as_many_of_the_sampler_are_compared_as_were_drawn_at_random():
    study = one_after_another([0.5, 0.6, 0.4, 0.5, 0.5, *[0.7] * 4, 0.8, 0.9, 0.9])
    found = random_reference(study, sampler="tpe", num_startup=5)
    assert (found.count, found.random, found.sampled) == (5, 0.6, 0.8)


def test_a_users_own_configurations_are_no_draws_and_count_as_ended():
    study = one_after_another([0.9] * 10 + [0.5] * 20, num_queued=10)
    assert random_reference(study, sampler="tpe", num_startup=10) is None
    found = random_reference(study, sampler="tpe", num_startup=16)
    assert (found.count, found.random) == (6, 0.5)


def test_of_other_samplers_nothing_is_known():
    study = one_after_another([0.5] * 30)
    assert random_reference(study, sampler="random", num_startup=10) is None
