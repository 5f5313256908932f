"""Trial data with fewer images to train on, as if there were no more of them.

Another thing than `portions`, by which a trial of a low rung has fewer epochs, too: here all else
is that of a whole training, so that trainings on more and more images show what images bring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.training.data import CutData, OfOtherData
from pipeline.training.portions import subset


@dataclass(frozen=True, kw_only=True)
class FewerImages(OfOtherData):
    """A part of the training images of other trial data.

    The part that judges is followed by training images, so that a training tells how well it fits
    what it has learned from, too: without dropout, as it is used.

    Attributes:
        whole: The other data; mean and variance of its features stay those of all its images.
        num_images: Images to train on, drawn by class, >= 1.
        seed: Of the draw, >= 0; with the same seed fewer images are among more.
        num_probes: Most of these that are judged by, after the part that is asked for.
    """

    num_images: int
    seed: int
    num_probes: int

    def load_cut(self, cut: str, *, judge: str | None) -> CutData:
        """Opens one cut, as `training.data.load_cut` does."""
        found = self.whole.load_cut(cut, judge=judge)
        training = subset(found.training, self.num_images, seed=self.seed)
        if found.judge is None:
            return replace(found, training=training)
        images = training.train[training.is_image]
        places = np.linspace(0, len(images) - 1, min(self.num_probes, len(images))).astype(int)
        rows = np.concatenate([found.judge, images[places]])
        return replace(found, training=training, judge=rows)
