"""Trial data whose training images are drawn with replacement: bagging, and boosting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.training.data import CutData, OfOtherData


@dataclass(frozen=True, kw_only=True)
class DrawnImages(OfOtherData):
    """As many training images as other trial data have, drawn from them with replacement.

    With equal weights it is a bootstrap sample: some 63% of the images are in it (Breiman 1996,
    "Bagging predictors"). With those of AdaBoost it is boosting by resampling (Freund and Schapire
    1997, "A decision-theoretic generalization of on-line learning", section 4).

    Attributes:
        whole: The other data, without views.
        seed: Of the draw, >= 0.
        weights: How likely each training image is drawn, in the order of the part; sums to 1.
            None: all alike.
        judges_all: Whether all training images are judged, too, after those of the part.
    """

    seed: int
    weights: Sequence[float] | None = None
    judges_all: bool = False

    def load_cut(self, cut: str, *, judge: str | None) -> CutData:
        """Opens one cut, as `training.data.load_cut` does."""
        found = self.whole.load_cut(cut, judge=judge)
        rows = found.training.without_views().train
        drawn = np.random.default_rng(self.seed).choice(rows, len(rows), p=self.weights)
        judged = found.judge
        if judged is not None and self.judges_all:
            judged = np.concatenate([judged, rows])
        return replace(found, training=replace(found.training, train=np.sort(drawn)), judge=judged)
