"""A file for another runtime is written only if it answers as the Keras model does."""

import numpy as np
import pytest

from pipeline.commands.export import _check
from pipeline.errors import DataIntegrityError


def answers(num_other, n=3000):
    rows = np.tile(np.float32([0.9, 0.1]), (n, 1))
    rows[:num_other] = rows[:num_other, ::-1]
    return rows


@pytest.mark.parametrize(("num_other", "n"), [(0, 3000), (3, 3000), (1, 50)])
def test_a_thousandth_of_the_images_or_one_may_get_another_class(num_other, n):
    _check(answers(num_other, n), answers(0, n), "flowers version 1", "onnx")


@pytest.mark.parametrize(("num_other", "n"), [(4, 3000), (2, 50)])
def test_more_are_refused(num_other, n):
    with pytest.raises(DataIntegrityError, match=f"another class for {num_other} of {n} images"):
        _check(answers(num_other, n), answers(0, n), "flowers version 1", "onnx")


def test_what_is_no_number_is_refused():
    found = answers(0)
    found[5] = np.nan
    with pytest.raises(DataIntegrityError, match="is no copy of it"):
        _check(found, answers(0), "flowers version 1", "litert")
