"""What params.yaml says of a study's cuts, phases and epochs is said before anything has run."""

import importlib.util
import itertools
import random

import pytest

from pipeline.errors import ConfigError
from pipeline.tuning.between_sections import executor_problem, problems_between
from pipeline.tuning.params import SearchParams, StudyPlan, study_settings
from pipeline.tuning.space import SearchSpace

CUTS = ("low", "middle", "high")
UNFREEZE = [
    *(0, 1, 2),
    *({"type": "int", "low": low, "high": 2} for low in (0, 1)),
    {"type": "choice", "choices": [0, 1]},
]


def drawn(rng):
    """A study and the sections beside it, all legal in themselves."""
    chosen = rng.sample(CUTS, rng.randint(1, 3))
    cut = rng.choice(["auto", chosen[0], {"type": "choice", "choices": chosen}])
    space = {"cut": cut, "unfreeze": rng.choice(UNFREEZE)}
    enqueue = (
        [{"unfreeze": 1}] if isinstance(space["unfreeze"], dict) and rng.random() < 0.5 else []
    )
    if enqueue and isinstance(cut, dict):
        enqueue[0]["cut"] = chosen[0]
    listed = rng.sample(CUTS, rng.randint(1, 3))
    pooling = {listed[0]: "average"} if rng.random() < 0.3 else {}
    return space, enqueue, {"cuts": listed, "pooling": pooling}, rng.choice([1, 2, 5])


def refused_once_embedded(plan, search, entry, order):
    cuts = {
        name: {"num_parameters_below": position, "pooling": entry["pooling"].get(name, "none")}
        for position, name in enumerate(order, start=1)
    }
    try:
        study_settings(plan, search, cuts)
    except ConfigError:
        return True
    return False


@pytest.mark.parametrize("seed", range(200))
def test_it_is_refused_exactly_where_no_order_of_the_cuts_could_make_it_right(
    seed, params_document
):
    defaults = params_document["defaults"]
    space, enqueue, entry, epochs = drawn(random.Random(seed))
    settings = SearchSpace(space).settings
    search = {**params_document["search"], "epochs": epochs}
    found = problems_between(
        "studies.mine",
        base="mine",
        settings=settings,
        enqueue=enqueue,
        document={"defaults": defaults, "search": search, "embed": {"bases": {"mine": entry}}},
    )
    plan = StudyPlan(base="mine", settings=settings, defaults=defaults, enqueue=enqueue)
    params = SearchParams.model_validate(search)
    later = [
        refused_once_embedded(plan, params, entry, order)
        for order in itertools.permutations(entry["cuts"])
    ]
    assert bool(found) == all(later), (found, later)


@pytest.mark.parametrize(("pooled", "num_problems"), [(["low"], 0), (["low", "high"], 1)])
def test_a_range_of_segments_needs_one_cut_with_any_below_it(pooled, num_problems, params_document):
    """Of two cuts whose order is not known, the pooled one may lie above the other."""
    pooling = dict.fromkeys(pooled, "average")
    bases = {"mine": {"cuts": ["low", "high"], "pooling": pooling}}
    space = {"cut": "auto", "unfreeze": {"type": "int", "low": 0, "high": 2}}
    found = problems_between(
        "studies.mine",
        base="mine",
        settings=SearchSpace(space).settings,
        enqueue=[],
        document={**params_document, "embed": {"bases": bases}},
    )
    assert len(found) == num_problems, found


def test_an_executor_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install" in executor_problem("ray")
    assert executor_problem("local") is None
