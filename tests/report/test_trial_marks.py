"""Marks of trials: within the limits, beyond them, and in the legend."""

import pytest
from matplotlib.figure import Figure

from pipeline.report.trial_marks import CROWDED, limit_values, mark_trials
from tests.report.test_search_figures import search


@pytest.fixture
def axes():
    return Figure().subplots()


def drawn(axes):
    """Every group of marks as (places and values, size)."""
    return [(c.get_offsets().tolist(), c.get_sizes()[0]) for c in axes.collections]


def test_marks_within_the_limits_stay_where_they_are(axes):
    mark_trials(axes, [(0, 0.5), (1, 0.6)], "complete", limits=(0.4, 0.7))
    assert drawn(axes) == [([[0, 0.5], [1, 0.6]], 16)]


def test_marks_beyond_the_limits_stand_at_the_edge(axes):
    mark_trials(axes, [(0, 0.1), (1, 0.6), (2, 9.0)], "complete", limits=(0.4, 0.7))
    places = [place for place, _ in drawn(axes)]
    assert places == [[[1, 0.6]], [[0, 0.4]], [[2, 0.7]]]


def test_the_legend_has_the_outcome_also_where_all_are_beyond(axes):
    mark_trials(axes, [(0, 0.1)], "pruned", limits=(0.4, 0.7))
    assert axes.get_legend_handles_labels()[1] == ["pruned"]


def test_no_trial_leaves_no_trace(axes):
    mark_trials(axes, [], "pruned", limits=(0.4, 0.7))
    assert drawn(axes) == []


def test_many_marks_are_smaller(axes):
    mark_trials(axes, [(i, 0.5) for i in range(CROWDED + 1)], "complete", limits=(0.4, 0.7))
    assert drawn(axes)[0][1] == 5


def test_limits_are_set_and_returned(axes):
    low, high = limit_values(axes, search(0.1, 0.92, 0.93, 0.94))
    assert axes.get_ylim() == (low, high)
    assert 0.8 < low < 0.92 < 0.94 < high
