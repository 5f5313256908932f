"""Trial data with fewer images to train on, as if there were no more of them.

Another thing than `portions`, by which a trial of a low rung has fewer epochs, too: here all else
is that of a whole training, so that trainings on more and more images show what images bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.hyperparameter import Value
from pipeline.training.data import CutData, TrialData
from pipeline.training.portions import subset

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class FewerImages:
    """A part of the training images of other trial data.

    The part that judges is followed by training images, so that a training tells how well it fits
    what it has learned from, too: without dropout, as it is used.

    Attributes:
        whole: The other data; mean and variance of its features stay those of all its images.
        num_images: Images to train on, drawn by class, >= 1.
        seed: Of the draw, >= 0; with the same seed fewer images are among more.
        num_probes: Most of these that are judged by, after the part that is asked for.
    """

    whole: TrialData
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

    def phase_2_starts(self, hyperparameters: Mapping[str, Value]) -> Sequence[str]:
        """Names the cuts that phase 2 can start from."""
        return self.whole.phase_2_starts(hyperparameters)

    @property
    def base_key(self) -> str:
        """What tells the base from every other."""
        return self.whole.base_key

    def load_base(self) -> keras.Model:
        """Returns the base that the features were computed with."""
        return self.whole.load_base()

    def base_files(self) -> Mapping[str, bytes]:
        """Returns the files that the base is loaded from."""
        return self.whole.base_files()
