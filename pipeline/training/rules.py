"""What is decided between epochs: which weights to keep, when to stop, when to lower the rate.

These are Keras' EarlyStopping, ReduceLROnPlateau and best-weights callbacks as plain objects,
because one objective with one direction rules all three, and a driver has its say in between.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.hyperparameter import Hyperparameters, count, positive
from pipeline.registry import Registry
from pipeline.training.messages import EpochRecord

if TYPE_CHECKING:
    import keras


class BestEpoch:
    """Keeps the weights of the epoch with the best objective; the first one wins a tie.

    Args:
        objective: Which metric is watched, and where better lies.

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
        objective: Which metric is watched, and where better lies.
        patience: Epochs without improvement until it is said, >= 1.
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


StoppingRule = Callable[[EpochRecord], bool]
"""Is told of each epoch, and says whether the training should end after it."""

STOPPING_RULES: Registry[Callable[[Hyperparameters, ObjectiveSpec], StoppingRule]] = Registry(
    "early_stopping"
)


@STOPPING_RULES.register("none")
def never(_: Hyperparameters, __: ObjectiveSpec) -> StoppingRule:
    """Goes on to the last epoch."""
    return lambda record: False


@STOPPING_RULES.register(
    "metric",
    parameters={"early_stopping_patience": count("epochs without improvement before stopping")},
)
def where_the_metric_stalls(
    hyperparameters: Hyperparameters, objective: ObjectiveSpec
) -> StoppingRule:
    """Stops when the objective has not improved for `early_stopping_patience` epochs."""
    return Stall(objective, patience=int(hyperparameters["early_stopping_patience"])).update


@STOPPING_RULES.register(
    "gradient_norm",
    parameters={
        "gradient_norm_threshold": positive(
            "stops when the whole gradient's Euclidean norm, averaged over an epoch, is below"
        )
    },
)
def where_the_gradient_vanishes(hyperparameters: Hyperparameters, _: ObjectiveSpec) -> StoppingRule:
    """Stops when an epoch's mean gradient norm is below `gradient_norm_threshold`."""
    threshold = float(hyperparameters["gradient_norm_threshold"])
    return lambda record: record.metrics["gradient_norm"] < threshold


def stopping_rule(hyperparameters: Hyperparameters, objective: ObjectiveSpec) -> StoppingRule:
    """Returns a new rule that ends a training early, as `early_stopping` says.

    Args:
        hyperparameters: `early_stopping` and what is active beside it.
        objective: Which metric is watched, and where better lies.

    Raises:
        ConfigError: If there is no such rule.
    """
    return STOPPING_RULES.get(str(hyperparameters["early_stopping"]))(hyperparameters, objective)


class Plateau:
    """Lowers the learning rate where the objective stalls: the schedule `performance`.

    Args:
        hyperparameters: `schedule`, and `plateau_factor` and `plateau_patience` beside it.
        objective: Which metric is watched, and where better lies.
    """

    def __init__(self, hyperparameters: Hyperparameters, objective: ObjectiveSpec) -> None:
        self._factor = float(hyperparameters.get("plateau_factor", 1.0))
        self._stall = Stall(objective, patience=int(hyperparameters.get("plateau_patience", 1)))

    def update(self, record: EpochRecord) -> float:
        """Returns what the rate is multiplied by after this epoch: 1, or the factor."""
        return self._factor if self._stall.update(record) else 1.0
