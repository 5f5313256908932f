"""Which classes a model takes for each other."""

import numpy as np
import pytest

from pipeline.report.mistakes import worst_pair


def test_mistakes_count_in_both_directions():
    labels = np.array([0, 1, 1, 2, 2, 2])
    found = worst_pair(np.eye(3)[[1, 0, 0, 0, 0, 2]], labels)
    assert (found.one, found.other, found.num_wrong) == (0, 1, 5)
    assert found.share == pytest.approx(0.6)


def test_no_mistake_has_no_pair():
    labels = np.array([0, 1])
    assert worst_pair(np.eye(2)[labels], labels) is None
