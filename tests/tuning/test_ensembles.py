"""An ensemble is as large as the validation part says, and no larger."""

import numpy as np
import pytest

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.tuning.ensembles import best_size

ACCURACY, LOSS = OBJECTIVES["val_accuracy"], OBJECTIVES["val_log_loss"]
LABELS = np.array([0, 1, 0, 1])


def votes(*of_class_0):
    first = np.array(of_class_0, np.float32)
    return np.stack([first, 1 - first], axis=1)


# Each is wrong about one image, and sure where the other is wrong.
ONE, OTHER = votes(0.9, 0.1, 0.45, 0.1), votes(0.45, 0.1, 0.9, 0.1)
USELESS = votes(0.0, 1.0, 0.0, 1.0)


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
def test_a_configuration_that_helps_is_taken(objective):
    assert best_size([ONE, OTHER], LABELS, objective) == 2


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
def test_one_that_harms_is_left_out_with_what_follows(objective):
    assert best_size([ONE, USELESS, OTHER], LABELS, objective) == 1


def test_the_smaller_wins_a_tie():
    assert best_size([ONE, ONE, ONE], LABELS, ACCURACY) == 1


def test_the_winner_is_always_in_it():
    assert best_size([USELESS], LABELS, ACCURACY) == 1
    assert best_size([np.full((4, 2), np.nan, np.float32)], LABELS, LOSS) == 1
