"""Numbers as text."""

import pytest

from pipeline.evaluation.intervals import Interval
from pipeline.report.summary import SearchSummary
from pipeline.report.text import (
    describe_distribution,
    duration,
    interval,
    mean_and_deviation,
    objective_value,
    percent,
    points,
)
from pipeline.trials.bounds import Distribution


def summary(objective):
    return SearchSummary(objective=objective, maximize=True, space={}, trials=[], ranked=[])


@pytest.mark.parametrize(
    ("share", "n", "text"),
    [(0.94531, 10_000, "94.53%"), (0.5, 60, "50.0%"), (1.0, 10_000, "100.00%")],
)
def test_a_percentage_has_the_decimals_that_n_can_tell_apart(share, n, text):
    assert percent(share, n) == text


def test_nothing_is_written_as_minus_zero():
    assert points(-1e-7, 10_000) == "0.00"
    assert points(-0.02, 10_000) == "-2.00"


def test_shares_are_percentages_and_losses_are_not():
    metric = Interval(value=0.9, low=0.88, high=0.92, n=1_000)
    assert interval(metric, is_share=True) == ("90.00%", "88.00 to 92.00%")
    assert interval(metric, is_share=False) == ("0.9000", "0.8800 to 0.9200")
    assert objective_value(0.25, summary("val_log_loss")) == "0.2500"
    assert objective_value(0.25, summary("val_macro_f1")) == "25.00%"


def test_one_training_has_no_deviation():
    assert mean_and_deviation(0.94, None, summary("val_accuracy")) == "94.00%"
    assert mean_and_deviation(0.94, 0.001, summary("val_accuracy")) == "94.00% \u00b1 0.10%"


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        (Distribution(type="choice", choices=["relu", 0.5, True]), "relu, 0.5, true"),
        (Distribution(type="int", low=1, high=3), "1 to 3"),
        (Distribution(type="float", low=1e-4, high=0.1, log=True), "0.0001 to 0.1, log scale"),
    ],
)
def test_a_distribution_reads_as_in_params_yaml(distribution, text):
    assert describe_distribution(distribution) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3_600, "1 h 0 min")],
)
def test_durations_carry_over(seconds, text):
    assert duration(seconds) == text
