"""Which weights are kept, when a training stops, and when its rate falls."""

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.training.messages import EpochRecord
from pipeline.training.rules import BestEpoch, Plateau, Stall, stopping_rule

ACCURACY = OBJECTIVES["val_accuracy"]
LOSS = OBJECTIVES["val_log_loss"]


def records(values, metric="val_accuracy"):
    return [EpochRecord(epoch=e, metrics={metric: value}) for e, value in enumerate(values)]


class CountingModel:
    """Has one weight: how often it was asked for its weights."""

    def __init__(self):
        self.weight = 0

    def get_weights(self):
        self.weight += 1
        return [np.array(self.weight)]

    def set_weights(self, weights):
        self.weight = int(weights[0])


class TestBestEpoch:
    def kept(self, objective, values):
        best, model = BestEpoch(objective), CountingModel()
        for record in records(values, objective.metric):
            best.update(record, model)
        return best.record.epoch

    def test_is_the_largest_accuracy(self):
        assert self.kept(ACCURACY, [0.5, 0.9, 0.7]) == 1

    def test_is_the_smallest_loss(self):
        assert self.kept(LOSS, [0.5, 0.9, 0.4, 0.7]) == 2

    def test_the_first_wins_a_tie(self):
        assert self.kept(ACCURACY, [0.5, 0.9, 0.9]) == 1

    def test_restores_the_weights_of_that_epoch(self):
        best, model = BestEpoch(ACCURACY), CountingModel()
        for record in records([0.5, 0.9, 0.1]):
            best.update(record, model)
        model.weight = 99
        best.restore(model)
        assert model.weight == 2

    def test_without_an_epoch_there_is_nothing_to_restore(self):
        best, model = BestEpoch(ACCURACY), CountingModel()
        best.restore(model)
        assert best.record is None
        assert model.weight == 0


@pytest.mark.parametrize(
    ("objective", "values", "stalls"),
    [
        (ACCURACY, [0.1, 0.2, 0.3, 0.4], []),
        (ACCURACY, [0.4, 0.4, 0.3], [2]),
        (ACCURACY, [0.4, 0.3, 0.5, 0.4, 0.4], [4]),
        (ACCURACY, [0.4, 0.3, 0.3, 0.3, 0.3], [2, 4]),
        (LOSS, [0.4, 0.5, 0.6], [2]),
        (LOSS, [0.4, 0.3, 0.2], []),
    ],
)
def test_a_stall_is_patience_epochs_without_improvement(objective, values, stalls):
    stall = Stall(objective, patience=2)
    assert [r.epoch for r in records(values, objective.metric) if stall.update(r)] == stalls


class TestStoppingRule:
    def test_none_never_stops(self):
        rule = stopping_rule({"early_stopping": "none"}, ACCURACY)
        assert not any(rule(record) for record in records([0.5] * 20))

    def test_metric_stops_when_patience_runs_out(self):
        rule = stopping_rule({"early_stopping": "metric", "early_stopping_patience": 3}, ACCURACY)
        assert [rule(r) for r in records([0.5, 0.4, 0.4, 0.4])] == [False] * 3 + [True]

    def test_gradient_norm_stops_below_its_threshold(self):
        rule = stopping_rule(
            {"early_stopping": "gradient_norm", "gradient_norm_threshold": 0.1}, ACCURACY
        )
        norms = records([0.5, 0.1, 0.09], metric="gradient_norm")
        assert [rule(record) for record in norms] == [False, False, True]

    def test_an_unknown_one_is_refused(self):
        with pytest.raises(ConfigError, match=r"Unknown early_stopping: 'metrics'\. Did you mean"):
            stopping_rule({"early_stopping": "metrics"}, ACCURACY)


class TestPlateau:
    def test_multiplies_by_the_factor_at_each_stall(self):
        plateau = Plateau(
            {"schedule": "performance", "plateau_factor": 0.5, "plateau_patience": 2}, ACCURACY
        )
        factors = [plateau.update(record) for record in records([0.5, 0.4, 0.4, 0.6, 0.6, 0.6])]
        assert factors == [1.0, 1.0, 0.5, 1.0, 1.0, 0.5]

    def test_leaves_the_rate_of_other_schedules_alone(self):
        plateau = Plateau({"schedule": "cosine"}, ACCURACY)
        assert {plateau.update(record) for record in records([0.5] * 5)} == {1.0}
