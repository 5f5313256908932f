"""`auto` becomes a number with the study: epochs of the plan, rungs that have steps enough."""

import pytest

from pipeline.search.sections import ConfirmParams, SearchParams


@pytest.fixture
def params(params_document):
    def change(**changes):
        written = {**params_document["search"], "epochs": "auto", "rungs": "auto", **changes}
        return SearchParams.model_validate(written)

    return change


def settled(params, *, epochs=None, num_train=50_000, images_per_epoch=8192):
    found = params.settled(epochs=epochs, num_train=num_train, images_per_epoch=images_per_epoch)
    return found.num_epochs, found.num_rungs


def test_epochs_are_those_of_the_plan_and_else_the_usual_ones(params):
    assert settled(params(), epochs=20)[0] == 20
    assert settled(params())[0] == 10
    assert settled(params(epochs=7), epochs=20)[0] == 7


@pytest.mark.parametrize(
    ("num_train", "epochs", "rungs"),
    # 8,192 images 27 times are 221,184, and 81 times 663,552.
    [(50_000, 20, 5), (50_000, 10, 4), (22_118, 10, 3), (22_119, 10, 4), (855, 10, 3), (855, 1, 1)],
)
def test_the_lowest_rung_sees_images_enough(params, num_train, epochs, rungs):
    assert settled(params(), epochs=epochs, num_train=num_train) == (epochs, rungs)


def test_a_part_that_an_epoch_goes_over_once_is_counted_once(params):
    assert settled(params(), num_train=855, images_per_epoch=1) == (10, 1)


def test_rungs_that_are_given_stay(params):
    assert settled(params(rungs=2), epochs=30) == (30, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": "cmaes"},
        {"pruner": {"name": "hyperband", "min_epochs": 1, "reduction_factor": 3}},
    ],
)
def test_where_only_whole_trainings_can_be_learnt_from_there_are_none(params, changes):
    assert settled(params(**changes), epochs=20)[1] == 1


def test_seeds_that_are_auto_are_more_where_time_ends_them(params_document):
    def seeds(written, *, is_limited):
        section = ConfirmParams.model_validate({**params_document["confirm"], "seeds": written})
        return section.most_seeds(is_limited=is_limited)

    assert [seeds("auto", is_limited=one) for one in (True, False)] == [6, 3]
    assert [seeds(2, is_limited=one) for one in (True, False)] == [2, 2]
