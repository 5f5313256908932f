"""The probe goes down by thirds until training stops diverging, and caps what is searched."""

import math

import pytest

from pipeline.search.distributions import Choice, FloatRange
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.rate_probe import capped, largest_sound, optimizers_of, probe_rates
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.messages import EpochRecord, TrialResult

LARGEST = {"sgd": 2.0, "adam": 0.05}


def train(spec, data, report):
    """Diverges above an optimizer's largest rate, ends at the loss of guessing just below it."""
    rate, most = spec.hyperparameters["learning_rate"], LARGEST[spec.hyperparameters["optimizer"]]
    if rate <= 2 * most:
        loss = 0.5 if rate <= most else math.log(3) + 0.01
        report(EpochRecord(epoch=0, metrics={"loss": loss}))
    return TrialResult(
        outcome="complete" if rate <= 2 * most else "diverged",
        best_epoch=0,
        metrics={},
        num_parameters=1,
        num_epochs=1,
        seconds=0.1,
    )


@pytest.fixture
def probed(params_document, tmp_path):
    def probe(**told):
        values = {**params_document["defaults"], "cut": "pixels"}
        data = DataReference(features=str(tmp_path), train_file=str(tmp_path / "train.npz"))
        with LocalExecutor(2, train=train) as executor:
            return probe_rates(list(LARGEST), values, data, executor, num_classes=3, **told)

    return probe


def test_each_optimizer_goes_down_by_thirds_until_it_trains(probed):
    found = probed()
    for name, most in LARGEST.items():
        rates = [one.rate for one in found if one.optimizer == name]
        assert rates == pytest.approx([30 / 3**k for k in range(len(rates))])
        *diverged, last = [one for one in found if one.optimizer == name]
        assert last.is_sound
        assert last.rate <= most < diverged[-1].rate
        assert not any(one.is_sound for one in diverged)


def test_a_loss_no_lower_than_that_of_guessing_is_no_training(probed):
    guessing = [one for one in probed() if one.loss is not None and not one.is_sound]
    assert guessing
    assert all(one.loss >= math.log(3) for one in guessing)


def test_it_can_go_on_below(probed):
    sound = [one for one in probed(num_further=2) if one.optimizer == "sgd" and one.is_sound]
    assert len(sound) == 3


def test_a_search_looks_no_higher_than_the_largest_that_trains(probed, params_document):
    rates = FloatRange(type="float", low=1e-4, high=10.0, log=True)
    space = SearchSpace({"learning_rate": rates}, params_document["defaults"])
    largest = largest_sound(probed())
    assert largest == pytest.approx(30 / 27)
    assert capped(space, largest).settings["learning_rate"] == rates.model_copy(
        update={"high": largest}
    )


@pytest.mark.parametrize("rate", [None, 1e-5, 20.0])
def test_a_rate_outside_what_is_searched_changes_nothing(rate, params_document):
    rates = FloatRange(type="float", low=1e-4, high=10.0, log=True)
    space = SearchSpace({"learning_rate": rates}, params_document["defaults"])
    assert capped(space, rate) is space


def test_the_optimizers_are_those_that_trials_can_have(params_document):
    both = SearchSpace(
        {"optimizer": Choice(type="choice", choices=["sgd", "adam"])}, params_document["defaults"]
    )
    assert optimizers_of(both) == ["sgd", "adam"]
    assert optimizers_of(SearchSpace({}, params_document["defaults"])) == ["adam"]
