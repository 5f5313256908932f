"""The largest learning rate that trains: start large, divide by 3 until it stops diverging.

The lectures' rule for where to look. Each rate trains the study's defaults on a few images, at that
rate throughout; it diverges if loss or weights stop being finite, or if the loss ends no lower than
that of guessing every class alike, ln(classes). A search looks no higher than the largest that does
not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.search.all_of_them import Training, train_all
from pipeline.search.configurations import completed
from pipeline.search.distributions import Choice, FloatRange
from pipeline.search.space import SearchSpace
from pipeline.training.fewer_images import FewerImages
from pipeline.training.messages import TrialSpec

if TYPE_CHECKING:
    from pipeline.hyperparameter import Value
    from pipeline.search.executors.base import Executor
    from pipeline.training.data import TrialData

logger = logging.getLogger(__name__)

LARGEST: Final = 30.0
SMALLEST: Final = 1e-5
DIVISOR: Final = 3.0
NUM_IMAGES: Final = 2000
EPOCHS: Final = 2
RATE: Final = "learning_rate"
OPTIMIZER: Final = "optimizer"
# A rate is tried as it is: nothing lowers it, and nothing hides what it does.
PLAIN: Final[Mapping[str, Value]] = {
    "schedule": "constant",
    "warmup_epochs": 0.0,
    "clipping": "none",
    "early_stopping": "none",
    "unfreeze": 0,
    "images_per_epoch": NUM_IMAGES,
}


@dataclass(frozen=True, kw_only=True)
class ProbedRate:
    """What a learning rate did.

    Attributes:
        optimizer: That took the steps.
        rate: > 0.
        loss: Of the training images, over the last epoch; None if it was not finite.
        is_sound: Whether the network learned.
    """

    optimizer: str
    rate: float
    loss: float | None
    is_sound: bool


def probe_rates(
    optimizers: Sequence[str],
    values: Mapping[str, Value],
    data: TrialData,
    executor: Executor,
    *,
    num_classes: int,
    num_further: int = 0,
) -> list[ProbedRate]:
    """Tries rates from `LARGEST` down, for each optimizer until one trains.

    Args:
        optimizers: Of the table, each once.
        values: Defaults of all hyperparameters, with a cut.
        data: What is trained on.
        executor: Where; optimizers are tried beside each other.
        num_classes: Of the data set.
        num_further: Rates to try below the first that trains, for a curve.

    Returns:
        In the order in which they were tried, largest first.

    Raises:
        StudyError: If a training fails.
    """
    few = FewerImages(whole=data, num_images=NUM_IMAGES, seed=0, num_probes=0)
    found: list[ProbedRate] = []
    left, rate = dict.fromkeys(optimizers, 1 + num_further), LARGEST
    while left and rate >= SMALLEST:
        wanted = [(_spec(name, rate, values), few) for name in left]
        for name, training in zip(list(left), train_all(wanted, executor).values(), strict=True):
            one = _probed(name, rate, training, num_classes=num_classes)
            found.append(one)
            left[name] -= one.is_sound
        left = {name: count for name, count in left.items() if count}
        rate /= DIVISOR
    return found


def largest_sound(found: Sequence[ProbedRate]) -> float | None:
    """Returns the largest rate with which any optimizer trained; None if there is none."""
    return max((one.rate for one in found if one.is_sound), default=None)


def optimizers_of(space: SearchSpace) -> list[str]:
    """Returns the optimizers that the trials of a study can have."""
    setting = space.settings.get(OPTIMIZER, space.defaults[OPTIMIZER])
    return [str(one) for one in setting.choices] if isinstance(setting, Choice) else [str(setting)]


def capped(space: SearchSpace, rate: float | None) -> SearchSpace:
    """Returns the space with no learning rate above one.

    It stays as it is where that rate is None, where it lies outside what is searched, and where no
    range of learning rates is.

    Args:
        space: Of a study.
        rate: The largest that trains.
    """
    setting = space.settings.get(RATE)
    if rate is None or not isinstance(setting, FloatRange) or not setting.low < rate < setting.high:
        return space
    return SearchSpace(
        {**space.settings, RATE: setting.model_copy(update={"high": rate})}, space.defaults
    )


def _spec(optimizer: str, rate: float, values: Mapping[str, Value]) -> TrialSpec:
    own = {**values, **PLAIN, OPTIMIZER: optimizer, RATE: rate}
    active = completed({}, SearchSpace({}, own))
    if active is None:
        raise ValueError(f"Every hyperparameter must have one value. Received: {own}.")
    return TrialSpec(uid=f"{optimizer}-{rate:g}", hyperparameters=active, seed=0, epochs=EPOCHS)


def _probed(optimizer: str, rate: float, training: Training, *, num_classes: int) -> ProbedRate:
    losses = [record.metrics["loss"] for record in training.records]
    is_whole = training.result.outcome == "complete" and bool(losses)
    is_sound = is_whole and math.isfinite(losses[-1]) and losses[-1] < math.log(num_classes)
    loss = losses[-1] if is_whole and math.isfinite(losses[-1]) else None
    logger.info(
        "%s at a rate of %.3g: %s",
        *(optimizer, rate, "diverges" if not is_sound else f"trains, loss {loss:.3g}"),
    )
    return ProbedRate(optimizer=optimizer, rate=rate, loss=loss, is_sound=is_sound)
