"""Compiled trainings of this process, kept for the next one of the same structure.

To trace and compile the steps of a small head costs 1 to 3 seconds of CPU, far more than training
it on a few thousand rows does. Trials that differ in nothing but initial weights, seeds, learning
rates, batch size or data share it: confirmations, and a trial that is promoted.
"""

from collections import OrderedDict
from typing import Final

from pipeline.training.steps import Steps

# The variables of a small head with Adam take 3 MB, what is traced and compiled about 10 MB.
MAX_PROGRAMS: Final = 16
MAX_BYTES: Final = 256 * 2**20

_kept: OrderedDict[str, Steps] = OrderedDict()


def take(steps: Steps) -> Steps:
    """Returns compiled steps that do as these would do: kept ones or, without any, these.

    They are the caller's alone until `keep` gives them back.
    """
    kept = _kept.pop(steps.structure(), None)
    if kept is None:
        return steps
    kept.take_over(steps)
    return kept


def keep(steps: Steps) -> None:
    """Keeps compiled steps for `take`, which overwrites their model's weights.

    At most `MAX_PROGRAMS` are kept, whose variables take at most `MAX_BYTES`; the one that was kept
    the longest is given up first.
    """
    _kept[steps.structure()] = steps
    while len(_kept) > MAX_PROGRAMS or sum(map(_num_bytes, _kept.values())) > MAX_BYTES:
        _kept.popitem(last=False)


def forget() -> None:
    """Gives up all: before a training whose steps do what their structure does not say."""
    _kept.clear()


def _num_bytes(steps: Steps) -> int:
    return sum(variable.value.numpy().nbytes for variable in steps.variables)
