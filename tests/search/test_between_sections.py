"""What params.yaml says of a study's cuts, phases and epochs is said before anything has run."""

import importlib.util
import itertools
import random

import pytest

from pipeline.errors import ConfigError
from pipeline.features.joined_cuts import is_layer, layers_named
from pipeline.search.between_sections import executor_problem, problems_between
from pipeline.search.params import StudyParams, embedded_space
from pipeline.search.sections import SearchParams
from pipeline.search.space import SearchSpace
from testing.features import embedded

CUTS = ("low", "middle", "high")
BESIDE = ("low+high", "high:global+middle", "middle+high+low", "low:grid2")
KNOWN = (*CUTS, *BESIDE)
UNFREEZE = [
    *(0, 1, 2),
    *({"type": "int", "low": low, "high": 2} for low in (0, 1)),
    {"type": "choice", "choices": [0, 1]},
]


def drawn(rng):
    """A study and the sections beside it, all legal in themselves."""
    chosen = rng.sample(KNOWN, rng.randint(1, 3))
    cut = rng.choice(["auto", chosen[0], {"type": "choice", "choices": chosen}])
    space = {"cut": cut, "unfreeze": rng.choice(UNFREEZE)}
    enqueue = (
        [{"unfreeze": 1}] if isinstance(space["unfreeze"], dict) and rng.random() < 0.5 else []
    )
    if enqueue and isinstance(cut, dict):
        enqueue[0]["cut"] = chosen[0]
    listed = rng.sample(KNOWN, rng.randint(1, 5))
    pooling = {listed[0]: "average"} if is_layer(listed[0]) and rng.random() < 0.3 else {}
    return space, enqueue, {"cuts": listed, "pooling": pooling}, rng.choice([1, 2, 5])


def as_written(name):
    """Several side by side as a list, as `params.yaml` may have them."""
    return name.split("+") if "+" in name else name


def entry_of(name, pooling, places):
    """The entry of a manifest."""
    if is_layer(name):
        return embedded(places[name], pooling=pooling.get(name, "none"))
    return embedded(parts={layer: places[layer] for layer, _ in layers_named(name)})


def refused_once_embedded(study, space, search, entry, order):
    places = {layer: place for place, layer in enumerate(order, 1)}
    cuts = {name: entry_of(name, entry["pooling"], places) for name in entry["cuts"]}
    try:
        embedded_space(study, space, search, cuts)
    except ConfigError:
        return True
    return False


@pytest.mark.parametrize("seed", range(300))
def test_it_is_refused_exactly_where_no_order_of_the_cuts_could_make_it_right(
    seed, params_document
):
    defaults = params_document["defaults"]
    space, enqueue, entry, epochs = drawn(random.Random(seed))
    parsed = SearchSpace.parse(space, defaults)
    search = {**params_document["search"], "epochs": epochs}
    written = {**entry, "cuts": [as_written(name) for name in entry["cuts"]]}
    found = problems_between(
        "studies.mine",
        base="mine",
        settings=parsed.settings,
        enqueue=enqueue,
        document={"defaults": defaults, "search": search, "embed": {"bases": {"mine": written}}},
    )
    study = StudyParams(base="mine", space=space, enqueue=enqueue)
    params = SearchParams.model_validate(search)
    later = [
        refused_once_embedded(study, parsed, params, entry, order)
        for order in itertools.permutations(CUTS)
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
        settings=SearchSpace.parse(space, {}).settings,
        enqueue=[],
        document={**params_document, "embed": {"bases": bases}},
    )
    assert len(found) == num_problems, found


def test_an_executor_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install" in executor_problem("ray")
    assert executor_problem("local") is None


def test_a_cut_by_itself_has_no_segment_below_it_though_a_list_may_start_from_it(params_document):
    choices = ["low", "low+high"]
    space = {"cut": {"type": "choice", "choices": choices}, "unfreeze": 1}
    document = {**params_document, "embed": {"bases": {"mine": {"cuts": choices}}}}
    told = {"base": "mine", "enqueue": [], "document": document}
    (problem,) = problems_between(
        "studies.mine", settings=SearchSpace.parse(space, {}).settings, **told
    )
    assert "there are 0 at most. Received: unfreeze=1" in problem
    space["cut"] = "low+high"
    assert (
        problems_between("studies.mine", settings=SearchSpace.parse(space, {}).settings, **told)
        == []
    )
