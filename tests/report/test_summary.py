"""What a study's record becomes: outcomes, the best, axis limits, notes on bounds."""

from dataclasses import replace

import pytest

from pipeline.report.summary import (
    best_so_far,
    bound_notes,
    focus,
    in_table_order,
    summarize_search,
)
from pipeline.trials.bounds import Distribution
from testing.records import made_study, made_trial


def trial(number, value, state="COMPLETE", curve=(), **noted):
    return made_trial(number, state, value, intermediate_values=dict(enumerate(curve)), **noted)


def search(*trials, objective="val_accuracy"):
    return summarize_search(made_study(*trials, objective=objective))


def test_every_state_becomes_an_outcome():
    summary = search(
        trial(0, 0.5),
        trial(1, None, "PRUNED"),
        trial(2, None, "FAIL"),
        trial(3, None, "PRUNED", outcome="diverged"),
        trial(4, None, "RUNNING"),
        trial(5, None, "FAIL", retry="free"),
    )
    outcomes = [one.outcome for one in summary.trials]
    assert outcomes == ["complete", "pruned", "failed", "diverged", "unfinished", "cut off"]


def test_a_pruned_trial_without_a_value_has_its_last():
    assert search(trial(0, None, "PRUNED", curve=[0.3, 0.4])).trials[0].value == 0.4


def test_a_curve_counts_epochs_from_one_in_order_and_leaves_out_what_is_not_finite():
    odd = made_trial(intermediate_values={10: 0.4, 2: 0.3, 3: float("nan"), 0: None})
    assert search(odd).trials[0].curve == [(3, 0.3), (11, 0.4)]


def test_the_best_is_the_first_of_equals_among_complete_trials():
    summary = search(trial(0, 0.99, "PRUNED"), trial(1, 0.9), trial(2, 0.9), trial(3, 0.8))
    assert summary.best.number == 1


def test_the_best_of_a_loss_is_the_smallest():
    summary = search(trial(0, 0.4), trial(1, 0.2), trial(2, 0.3), objective="val_log_loss")
    assert summary.best.number == 1
    assert [one.number for one in summary.ranked] == [1, 2, 0]
    assert best_so_far(summary) == [(0, 0.4), (1, 0.2), (2, 0.2)]


def test_best_so_far_never_falls_and_skips_pruned_trials():
    summary = search(trial(0, 0.5), trial(1, 0.9, "PRUNED"), trial(2, 0.4), trial(3, 0.7))
    assert best_so_far(summary) == [(0, 0.5), (2, 0.5), (3, 0.7)]


def test_no_complete_trial_means_no_best():
    assert search(trial(0, None, "FAIL")).best is None


def test_hyperparameters_come_in_the_order_of_their_table_and_unknown_ones_last():
    sorted_by_name = {"activation": 1, "an_older_one": 2, "learning_rate": 3, "num_layers": 4}
    assert list(in_table_order(sorted_by_name)) == [
        "num_layers",
        "activation",
        "learning_rate",
        "an_older_one",
    ]


@pytest.mark.parametrize(
    ("objective", "words", "is_share"),
    [
        ("val_accuracy", "validation accuracy", True),
        ("val_log_loss", "validation log loss", False),
        ("val_macro_f1", "validation macro F1", True),
    ],
)
def test_objectives_have_words(objective, words, is_share):
    summary = search(trial(0, 0.5), objective=objective)
    assert (summary.objective_name, summary.is_share) == (words, is_share)


class TestFocus:
    def test_one_bad_trial_does_not_flatten_the_good_ones(self):
        low, high = focus([0.1, 0.92, 0.93, 0.94], maximize=True)
        assert 0.88 < low < 0.92
        assert high > 0.94

    def test_one_bad_loss_does_not_either(self):
        low, high = focus([0.2, 0.3, 0.4, 9.0], maximize=False)
        assert low < 0.2
        assert 0.4 < high < 1.5

    def test_the_best_is_always_inside(self):
        low, high = focus([0.5, 0.5, 0.5, 0.99], maximize=True)
        assert low < 0.5
        assert high > 0.99

    @pytest.mark.parametrize("value", [0.9, 0.0])
    def test_one_value_has_room_around_it(self, value):
        low, high = focus([value, value], maximize=True)
        assert low < value < high


RATE = Distribution(type="float", low=1e-4, high=1e-2, log=True)


class TestBoundNotes:
    def notes(self, value, distribution, name="learning_rate", num_tried=10):
        return bound_notes("transfer", {name: value}, {name: distribution}, num_tried=num_tried)

    def test_the_best_of_few_says_nothing(self):
        assert len(self.notes(9e-3, RATE, num_tried=10)) == 1
        assert self.notes(9e-3, RATE, num_tried=9) == []

    def test_a_value_near_the_upper_end_says_where_and_which_key_to_raise(self):
        (note,) = self.notes(9e-3, RATE)
        assert "learning_rate = 0.009 lies within 5% of its upper bound 0.01 on its log" in note
        assert note.endswith("raising studies.transfer.space.learning_rate.high.")

    def test_a_value_near_the_lower_end_says_lowering(self):
        (note,) = self.notes(1.1e-4, RATE)
        assert "lower bound 0.0001" in note
        assert "lowering studies.transfer.space.learning_rate.low" in note

    def test_the_scale_is_the_distributions_own(self):
        # 5% of the way on a linear scale, half way on a logarithmic one.
        assert self.notes(1e-3, RATE) == []
        assert len(self.notes(5e-4, replace(RATE, log=False))) == 1

    def test_a_bound_that_is_the_legal_limit_gets_no_advice(self):
        distribution = Distribution(type="float", low=0.0, high=0.5)
        assert self.notes(0.0, distribution, name="dropout_rate") == []
        assert len(self.notes(0.5, distribution, name="dropout_rate")) == 1

    def test_choices_and_inactive_hyperparameters_get_none(self):
        choice = Distribution(type="choice", choices=[64, 128])
        assert self.notes(64, choice, name="batch_size") == []
        assert bound_notes("transfer", {}, {"learning_rate": RATE}, num_tried=10) == []
