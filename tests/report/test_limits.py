"""Whether the gap or the fit limits a model, and which classes it takes for each other."""

import numpy as np
import pytest

from pipeline.report.limits import Fit, told_fit, told_next, worst_pair


@pytest.mark.parametrize(
    ("train", "held_out", "begins"),
    [
        (0.99, 0.90, "The gap: "),
        (0.80, 0.70, "The fit more than the gap: "),
        (0.905, 0.90, "The fit: "),
        # Worse on what it learned from, as with dropout: no gap at all.
        (0.85, 0.90, "The fit: "),
    ],
)
def test_the_larger_part_of_the_error_is_named(train, held_out, begins):
    assert told_fit(Fit(train=train, held_out=held_out, n=5_000)).startswith(begins)


def test_few_images_leave_a_gap_open_that_many_show():
    few, many = (Fit(train=0.99, held_out=0.95, n=n) for n in (100, 10_000))
    assert told_fit(few).startswith("Not to be told: ")
    assert "both within the 4.5 points that so many images leave open" in told_fit(few)
    assert told_next(few).startswith("More images to judge by first")
    assert told_next(many).startswith("Close the gap")
    assert told_next(Fit(train=0.8, held_out=0.78, n=100)).startswith("Improve the fit")


def test_mistakes_count_in_both_directions():
    labels = np.array([0, 1, 1, 2, 2, 2])
    found = worst_pair(np.eye(3)[[1, 0, 0, 0, 0, 2]], labels)
    assert (found.one, found.other, found.num_wrong) == (0, 1, 5)
    assert found.share == pytest.approx(0.6)


def test_no_mistake_has_no_pair():
    labels = np.array([0, 1])
    assert worst_pair(np.eye(2)[labels], labels) is None
