"""What is decided between epochs: which weights to keep, when to stop, when to lower the rate.

These are Keras' EarlyStopping, ReduceLROnPlateau and best-weights callbacks as plain objects,
because one objective with one direction rules all three, and a driver has its say in between.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.hyperparameter import Value
from pipeline.training.messages import EpochRecord

if TYPE_CHECKING:
    import keras


class BestEpoch:
    """Keeps the weights of the epoch with the best objective; the first one wins a tie.

    Args:
        objective: What better means.

    Attributes:
        record: The best epoch's record, None before the first.
    """

    def __init__(self, objective: ObjectiveSpec) -> None:
        self._objective = objective
        self._weights: list[Any] = []
        self.record: EpochRecord | None = None

    def update(self, record: EpochRecord, model: "keras.Model") -> None:
        """Copies the model's weights if `record` is better than what is kept."""
        value = record.metrics[self._objective.metric]
        kept = self.record.metrics[self._objective.metric] if self.record else None
        if kept is None or self._objective.is_better(value, kept):
            self.record = record
            self._weights = model.get_weights()

    def restore(self, model: "keras.Model") -> None:
        """Puts the best epoch's weights back; does nothing if there was no epoch."""
        if self.record is not None:
            model.set_weights(self._weights)


class Stall:
    """Notices that a value has not improved for `patience` epochs.

    Any improvement counts, however small (Keras' ReduceLROnPlateau wants 1e-4 by default).

    Args:
        objective: What better means.
        patience: Epochs without improvement, >= 1.
    """

    def __init__(self, objective: ObjectiveSpec, *, patience: int) -> None:
        self._objective = objective
        self._patience = patience
        self._best = objective.worst
        self._waited = 0

    def update(self, record: EpochRecord) -> bool:
        """Returns whether patience has just run out; the count then starts again."""
        value = record.metrics[self._objective.metric]
        self._waited += 1
        if self._objective.is_better(value, self._best):
            self._best, self._waited = value, 0
        if self._waited < self._patience:
            return False
        self._waited = 0
        return True


class StoppingRule:
    """Ends a training early, as `early_stopping` says.

    Args:
        hyperparameters: `early_stopping` and what is active beside it.
        objective: What better means.
    """

    def __init__(self, hyperparameters: Mapping[str, Value], objective: ObjectiveSpec) -> None:
        self._kind = hyperparameters["early_stopping"]
        self._threshold = float(hyperparameters.get("gradient_norm_threshold", 0.0))
        self._stall = Stall(
            objective, patience=int(hyperparameters.get("early_stopping_patience", 1))
        )

    def update(self, record: EpochRecord) -> bool:
        """Returns whether the training should end after this epoch."""
        if self._kind == "metric":
            return self._stall.update(record)
        if self._kind == "gradient_norm":
            return record.metrics["gradient_norm"] < self._threshold
        return False


class Plateau:
    """Lowers the learning rate where the objective stalls: the schedule `performance`.

    Args:
        hyperparameters: `schedule`, and `plateau_factor` and `plateau_patience` beside it.
        objective: What better means.
    """

    def __init__(self, hyperparameters: Mapping[str, Value], objective: ObjectiveSpec) -> None:
        self._factor = float(hyperparameters.get("plateau_factor", 1.0))
        self._stall = Stall(objective, patience=int(hyperparameters.get("plateau_patience", 1)))

    def update(self, record: EpochRecord) -> float:
        """Returns what the rate is multiplied by after this epoch: 1, or the factor."""
        return self._factor if self._stall.update(record) else 1.0
