"""Trial data whose training images differ in weight, and are judged too: for boosting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.training.data import CutData, OfOtherData


@dataclass(frozen=True, kw_only=True)
class WeightedImages(OfOtherData):
    """Other trial data without views, each training image with a weight of its own in the loss.

    All of its training images are judged, after those of the part that judges: the weights of the
    next learner follow from what this one answers of them.

    Attributes:
        whole: The other data.
        weights: Of each training image, in the order of the part; sums to 1.
    """

    weights: Sequence[float]

    def load_cut(self, cut: str, *, judge: str | None) -> CutData:
        """Opens one cut, as `training.data.load_cut` does."""
        found = self.whole.load_cut(cut, judge=judge)
        training = found.training.without_views()
        weights = np.zeros(len(training.labels), np.float32)
        # 1 in the mean, so that learning rates mean what they mean without weights.
        weights[training.train] = np.asarray(self.weights) * len(training.train)
        judged = None if found.judge is None else np.concatenate([found.judge, training.train])
        return replace(found, training=replace(training, weights=weights), judge=judged)
