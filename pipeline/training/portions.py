"""A part of a whole training: fewer epochs over fewer images, with a whole schedule of its own.

Successive halving judges many configurations by such parts before few are trained whole. Cutting a
long training off would say little of it: a one-cycle schedule that is stopped has never come down.
So what is counted in epochs shrinks with them, but for the patience of early stopping: in the
middle of a schedule a few epochs without gain are no sign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.hyperparameter import Value

if TYPE_CHECKING:
    from pipeline.training.batches import TrainingData
    from pipeline.training.messages import TrialSpec

MIN_EPOCHS: Final = 3
"""Of any training: for the head, for the layers below it, and one for the rate to fall in."""
MIN_IMAGES: Final = 1000
MIN_IMAGES_PER_CLASS: Final = 20
IN_EPOCHS: Final = ("warmup_epochs", "decay_epochs", "drop_epochs")
SUBSET_SEED: Final = 0


@dataclass(frozen=True, kw_only=True)
class Portion:
    """What a share of a whole training comes to.

    Attributes:
        share: Of the gradient steps of a whole training, in (0, 1].
        whole_epochs: Most epochs of a whole training, >= 1.
    """

    share: float
    whole_epochs: int

    @property
    def epochs(self) -> int:
        """Most epochs: the square root of the share goes to them, and 3 are kept where there are.

        >>> [Portion(share=share, whole_epochs=10).epochs for share in (1.0, 1 / 3, 1 / 9)]
        [10, 6, 3]
        """
        if self.share == 1.0:
            return self.whole_epochs
        fewest = min(MIN_EPOCHS, self.whole_epochs)
        return max(fewest, round(math.sqrt(self.share) * self.whole_epochs))

    @property
    def images(self) -> float:
        """The share of a whole training's images that an epoch goes over, in (0, 1]."""
        return min(1.0, self.share * self.whole_epochs / self.epochs)


def portion_of(spec: TrialSpec) -> Portion:
    """Returns the part of a whole training that a spec asks for."""
    return Portion(share=spec.share, whole_epochs=spec.epochs)


def shrunk(spec: TrialSpec) -> TrialSpec:
    """Returns the spec of a part of a training as that of a whole one, short in itself.

    Epochs, and what its hyperparameters count in epochs, are fewer, but for
    `early_stopping_patience`; `images_per_epoch` is smaller. Which images are left, `subset` says.

    Args:
        spec: With its share; where that is 1, it is returned as it is.
    """
    if spec.share == 1.0:
        return spec
    portion = portion_of(spec)
    values = dict(spec.hyperparameters)
    for name in IN_EPOCHS:
        if name in values:
            values[name] = float(values[name]) * portion.epochs / spec.epochs
    if "plateau_patience" in values:
        patience = int(values["plateau_patience"]) * portion.epochs / spec.epochs
        values["plateau_patience"] = max(1, round(patience))
    values["images_per_epoch"] = _fewer(values, portion)
    return replace(spec, hyperparameters=values, epochs=portion.epochs)


def _fewer(hyperparameters: Mapping[str, Value], portion: Portion) -> int:
    return max(1, round(int(hyperparameters["images_per_epoch"]) * portion.images))


def num_images(portion: Portion, *, num_train: int, images_per_epoch: int, num_classes: int) -> int:
    """Returns how many different images such a part learns from, in [1, num_train].

    A small training part, which an epoch of a whole training goes over several times, is first gone
    over less often: which configuration is good depends on how many images there are more than on
    how often they are seen. 1,000 images, and 20 a class, are kept in any case.

    Args:
        portion: The part of a training.
        num_train: Images of the training part.
        images_per_epoch: Of the trial: what an epoch of a whole training goes over at least.
        num_classes: Of the data set.
    """
    wanted = portion.images * max(num_train, images_per_epoch)
    fewest = max(MIN_IMAGES, MIN_IMAGES_PER_CLASS * num_classes)
    return min(num_train, max(fewest, round(wanted)))


def subset(data: TrainingData, size: int, *, seed: int = SUBSET_SEED) -> TrainingData:
    """Returns the data with so many images of the training part, and their views.

    The images are drawn by class, each class in proportion, with the same seed for every trial, so
    that trials are compared on the same images; and of two sizes the smaller is within the larger.

    Args:
        data: With all of its training part.
        size: Images wanted, >= 1; where the training part has no more, it is returned as it is.
        seed: Of the draw, >= 0; another one gives other images.
    """
    import numpy as np

    images = data.train[data.is_image]
    if size >= len(images):
        return data
    labels = data.labels[images]
    shuffled = np.random.default_rng(seed).permutation(len(images))
    place = np.empty(len(images))
    for label in np.unique(labels):
        own = shuffled[labels[shuffled] == label]
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
    chosen = images[np.sort(np.argsort(place, kind="stable")[:size])]
    of_image = data.train if data.row_images is None else data.row_images[data.train]
    return replace(data, train=data.train[np.isin(of_image, chosen)])
