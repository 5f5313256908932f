"""The phases of a training: which epochs each has, and the learning rates of their steps.

Phase 1 trains the head on frozen features. Phase 2, where a trial has one, trains it on with the
unfrozen layers of the base. Each runs the trial's schedule from its start to its end; in phase 2
every rate is the schedule's times `learning_rate_ratio`, so that it is below what phase 1 had at
the same share of its steps, whatever the schedule. (One schedule over both phases was tried: a
cosine is near its end when phase 2 begins.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.hyperparameter import Value
from pipeline.training.schedules import learning_rate_table


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Consecutive epochs of a training.

    Attributes:
        epochs: Which, at least one, counted from the training's first; the schedule lasts as long.
        factor: What the schedule's rates are multiplied by, > 0.
        number: 1: the base is frozen; 2: layers of the base are trained, too.
    """

    epochs: range
    factor: float = 1.0
    number: int = 1

    def learning_rates(
        self, hyperparameters: Mapping[str, Value], *, steps_per_epoch: int
    ) -> NDArray[np.float32]:
        """Returns the rate of each step of these epochs, shape (len(epochs) * steps_per_epoch,)."""
        table = learning_rate_table(
            hyperparameters,
            num_steps=len(self.epochs) * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
        )
        return np.asarray(table * np.float32(self.factor))


def whole(num_epochs: int) -> Phase:
    """Returns the one phase of a training that has no other."""
    return Phase(epochs=range(num_epochs))


def phase_1(hyperparameters: Mapping[str, Value], num_epochs: int) -> Phase:
    """Returns the phase in which the base is frozen: all epochs, or all but phase 2's share.

    Args:
        hyperparameters: The trial's; `unfreeze`, and `fine_tuning_share` beside it, are read.
        num_epochs: Epochs of both phases together, >= 1; >= 2 if there are two.
    """
    if not hyperparameters["unfreeze"]:
        return whole(num_epochs)
    kept = max(1, round(float(hyperparameters["fine_tuning_share"]) * num_epochs))
    return Phase(epochs=range(max(1, num_epochs - kept)))


def phase_2(
    hyperparameters: Mapping[str, Value],
    num_epochs: int,
    *,
    first_epoch: int,
    last_learning_rate: float,
) -> Phase:
    """Returns the phase that goes on where phase 1 ended, with all epochs that are left.

    Args:
        hyperparameters: The trial's; `learning_rate_ratio`, `schedule` and `learning_rate` are
            read.
        num_epochs: Epochs of both phases together, >= 2.
        first_epoch: Epochs that phase 1 took, in [1, num_epochs); fewer than planned if it stopped
            early.
        last_learning_rate: The rate at which phase 1 ended. Where the rate follows the validation
            metric instead of a schedule, phase 2 goes on from it.
    """
    factor = float(hyperparameters["learning_rate_ratio"])
    if hyperparameters["schedule"] == "performance":
        factor *= last_learning_rate / float(hyperparameters["learning_rate"])
    return Phase(epochs=range(first_epoch, num_epochs), factor=factor, number=2)
