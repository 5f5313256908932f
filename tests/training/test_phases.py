"""Phases share one axis of epochs; each has its schedule, the second at lower rates."""

import numpy as np
import pytest

from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.phases import Phase, phase_1, phase_2, whole
from pipeline.training.schedules import SCHEDULES

STEPS = 25


@pytest.fixture
def values(params_document):
    """Makes a trial's active hyperparameters, with a second phase."""

    def changed(**changes):
        settings = {**params_document["defaults"], "unfreeze": 1, "warmup_epochs": 0.5}
        return completed({}, SearchSpace({}, {**settings, "learning_rate": 0.01, **changes}))

    return changed


def rates(phase, hyperparameters):
    return phase.learning_rates(hyperparameters, steps_per_epoch=STEPS)


def second(hyperparameters, *, num_epochs=12, first_epoch=8, last_learning_rate=0.01):
    return phase_2(
        hyperparameters,
        num_epochs,
        first_epoch=first_epoch,
        last_learning_rate=last_learning_rate,
    )


class TestEpochs:
    @pytest.mark.parametrize(
        ("num_epochs", "share", "first"),
        [(12, 0.3, 8), (12, 0.5, 6), (2, 0.001, 1), (2, 0.999, 1), (10, 0.999, 1), (10, 0.01, 9)],
    )
    def test_both_phases_have_one_at_least(self, values, num_epochs, share, first):
        assert phase_1(values(fine_tuning_share=share), num_epochs).epochs == range(first)

    def test_frozen_there_is_one_phase_of_all_epochs(self, values):
        assert phase_1(values(unfreeze=0), 12) == whole(12)

    @pytest.mark.parametrize("taken", [8, 3])
    def test_the_second_has_all_that_the_first_left(self, values, taken):
        assert second(values(), first_epoch=taken).epochs == range(taken, 12)


class TestLearningRates:
    @pytest.mark.parametrize("schedule", list(SCHEDULES))
    @pytest.mark.parametrize("ratio", [0.001, 0.1, 0.5])
    @pytest.mark.parametrize("taken", [8, 3])
    def test_each_phase_runs_the_whole_schedule_the_second_below_the_first(
        self, values, schedule, ratio, taken
    ):
        settings = values(schedule=schedule, learning_rate_ratio=ratio)
        found = rates(second(settings, first_epoch=taken), settings)
        of_as_many_epochs = rates(whole(12 - taken), settings)
        assert (found > 0).all()
        assert (found < of_as_many_epochs).all()
        np.testing.assert_allclose(found, ratio * of_as_many_epochs, rtol=1e-6)

    def test_the_first_is_over_when_the_second_begins(self, values):
        settings = values(schedule="cosine")
        first = rates(phase_1(settings, 12), settings)
        np.testing.assert_array_equal(first, rates(whole(8), settings))
        assert first[-1] < 0.001 * first.max()

    def test_performance_goes_on_from_where_the_rules_left_it(self, values):
        settings = values(schedule="performance", learning_rate_ratio=0.1)
        found = rates(second(settings, last_learning_rate=0.0025), settings)
        assert found == pytest.approx(0.00025)

    def test_there_is_one_for_each_step(self, values):
        assert len(rates(Phase(epochs=range(3, 5)), values())) == 2 * STEPS
