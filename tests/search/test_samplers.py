"""Every sampler repeats itself with its seed and stays within the space."""

import importlib.util

import optuna
import pytest

from pipeline.errors import ConfigError
from pipeline.search.distributions import Choice, FloatRange, IntRange, SegmentRange
from pipeline.search.queue import fail_trial, retry_failed
from pipeline.search.samplers import SAMPLERS, build_sampler
from pipeline.search.space import SearchSpace

SETTINGS = {
    "rate": FloatRange(type="float", low=0.005, high=0.1, step=0.005),
    "kind": Choice(type="choice", choices=["a", "b"]),
    "extra": IntRange(type="int", low=1, high=9),
}


def build(name, *, seed, index, target):
    return build_sampler(
        name, seed=seed, index=index, target=target, space=SearchSpace(SETTINGS, {})
    )


def proposals(name, seed, count=12):
    study = optuna.create_study(direction="maximize")
    found = []
    for index in range(count):
        study.sampler = build(name, seed=seed, index=index, target=count)
        trial = study.ask()
        rate = SETTINGS["rate"].suggest(trial, "rate")
        kind = SETTINGS["kind"].suggest(trial, "kind")
        extra = SETTINGS["extra"].suggest(trial, "extra") if kind == "b" else 0
        study.tell(trial, rate + extra)
        found.append((rate, kind, extra))
    return found


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "gp"])
class TestEverySampler:
    def test_the_same_seed_proposes_the_same_trials(self, name):
        assert proposals(name, 1) == proposals(name, 1)

    def test_another_seed_proposes_others(self, name):
        assert proposals(name, 1) != proposals(name, 2)

    def test_proposals_stay_within_their_bounds_and_differ(self, name):
        found = proposals(name, 1)
        assert all(0.005 <= rate <= 0.1 for rate, _, _ in found)
        assert len(set(found)) > len(found) / 2

    def test_is_documented(self, name):
        assert len(SAMPLERS.get(name).__doc__) > 40


def test_an_unknown_sampler_lists_the_choices():
    with pytest.raises(ConfigError, match=r"Unknown sampler: 'tpee'\. Did you mean 'tpe'"):
        build("tpee", seed=0, index=0, target=1)


GRID = {name: SETTINGS[name] for name in ("kind", "extra")}


def test_qmc_varies_what_only_some_trials_have():
    found = proposals("qmc", 1, count=16)
    # What the first trial has is in the sequence; the rest is drawn beside it.
    assert found[0][1] == "a"
    extras = [extra for _, kind, extra in found if kind == "b"]
    assert len(extras) > 4
    assert len(set(extras)) > 2


def grid_search(count, queue=(), kill=lambda trial: False):
    """Returns what finished; `kill` says of a trial that was just asked for whether it is lost."""
    study = optuna.create_study(direction="maximize")
    for params in queue:
        study.enqueue_trial(params)
    finished = []
    for index in range(3 * count):
        if len(finished) == count:
            break
        study.sampler = build_sampler(
            "grid", seed=3, index=index, target=count, space=SearchSpace(GRID, {})
        )
        trial = study.ask()
        if kill(trial):
            fail_trial(study, trial.number, reason="killed", retry="free")
            retry_failed(study, max_retries=0)
            continue
        finished.append(tuple(setting.suggest(trial, name) for name, setting in GRID.items()))
        study.tell(trial, 0.5)
    return finished


def test_the_grid_tries_every_combination_once():
    found = grid_search(18)
    assert len(set(found)) == len(found) == 18


def test_a_queued_trial_that_leaves_something_open_is_filled_from_the_grid():
    found = grid_search(20, queue=[{"kind": "a"}])
    assert found[0][0] == "a"
    assert len(set(found)) == 18


@pytest.mark.parametrize("number", [0, 5, 17])
def test_a_combination_whose_trial_was_killed_right_after_ask_is_tried_again(number):
    assert grid_search(18, kill=lambda trial: trial.number == number) == grid_search(18)


def test_a_trial_that_was_killed_before_it_had_a_combination_gets_one():
    def kill(trial):
        if trial.number != 0:
            return False
        # As after a kill between Optuna's two writes.
        attrs = trial.study._storage._get_trial(trial._trial_id).system_attrs
        attrs.clear()
        return True

    assert grid_search(18, kill=kill) == grid_search(18)


def test_what_queued_trials_leave_open_differs_between_them():
    found = grid_search(6, queue=[{"kind": "a"}] * 6)
    assert len({extra for _, extra in found}) > 2


NARROWED = {
    "cut": Choice(type="choice", choices=["low", "middle", "top"]),
    "unfreeze": SegmentRange(
        type="int", low=0, high=3, num_below={"low": 0, "middle": 1, "top": 2}
    ),
}
ALLOWED = {("low", 0), ("middle", 0), ("middle", 1), ("top", 0), ("top", 1), ("top", 2)}


@pytest.mark.parametrize("queue", [[], [{"cut": "low"}, {"cut": "middle"}] * 5], ids=len)
def test_the_grid_tries_no_depth_that_its_cut_does_not_have(params_document, queue):
    study = optuna.create_study(direction="maximize")
    for params in queue:
        study.enqueue_trial(params)
    found = []
    for index in range(len(queue) + len(ALLOWED)):
        study.sampler = build_sampler(
            "grid", seed=3, index=index, target=6, space=SearchSpace(NARROWED, {})
        )
        trial = study.ask()
        values = SearchSpace(NARROWED, params_document["defaults"]).suggest(trial)
        study.tell(trial, 0.5)
        found.append((values["cut"], values["unfreeze"]))
    assert sorted(found[len(queue) :]) == sorted(ALLOWED)
    assert set(found) == ALLOWED
    assert [cut for cut, _ in found[: len(queue)]] == [params["cut"] for params in queue]


def test_the_grid_of_one_cut_reaches_as_deep_as_that(params_document):
    settings = {**NARROWED, "cut": "middle"}
    sampler = build_sampler("grid", seed=3, index=0, target=6, space=SearchSpace(settings, {}))
    assert sorted(sampler._all_grids) == [(0,), (1,)]


def test_the_grid_refuses_what_has_no_end_of_values():
    endless = {"rate": FloatRange(type="float", low=0.1, high=0.2)}
    with pytest.raises(ConfigError, match="Received: rate without one"):
        build_sampler("grid", seed=0, index=0, target=1, space=SearchSpace(endless, {}))


def test_a_grid_that_would_fill_the_memory_is_refused():
    settings = {name: IntRange(type="int", low=1, high=1000) for name in ("a", "b")}
    with pytest.raises(ConfigError, match=r"at most 100000 combinations.*: 1000000 of a, b"):
        build_sampler("grid", seed=0, index=0, target=1, space=SearchSpace(settings, {}))


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_the_gaussian_process_says_what_it_lacks():
    with pytest.raises(ConfigError, match="pip install torch"):
        build("gp", seed=0, index=0, target=1)
