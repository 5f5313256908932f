"""Heads that a demonstration trains in this process, since it changes or looks into them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.lectures.compare import JUDGE, hyperparameters
from pipeline.lectures.variants import PLAIN

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.hyperparameter import Value
    from pipeline.lectures.demonstration import Ground
    from pipeline.training.batches import TrainingData
    from pipeline.training.data import CutData


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What heads are made for.

    Attributes:
        ground: Whose images.
        cut_data: Features, labels and rows.
    """

    ground: Ground
    cut_data: CutData

    @classmethod
    def on(cls, ground: Ground) -> Heads:
        """Returns those on the pixels."""
        cut_data = ground.pixels.load_cut("pixels", judge=JUDGE)
        return cls(ground=ground, cut_data=cut_data)

    def values(self, **changes: Value) -> dict[str, Value]:
        """Returns all hyperparameters, with some changed."""
        return hyperparameters({"cut": "pixels", **PLAIN, **changes}, self.ground.defaults)

    def build(self, values: dict[str, Value], *, seed: int) -> keras.Model:
        """Returns an untrained head."""
        from pipeline.training.head import build_head

        return build_head(
            self.cut_data.shape,
            self.cut_data.training.num_classes,
            values,
            mean=self.cut_data.mean,
            variance=self.cut_data.variance,
            seed=seed,
        )

    def train(
        self, model: keras.Model, values: dict[str, Value], *, epochs: int, seed: int
    ) -> float:
        """Trains a head on; it keeps the best epoch.

        Returns:
            The validation accuracy of that epoch, in [0, 1]; 0 if it diverged at once.
        """
        from pipeline.training import programs
        from pipeline.training.fit import train
        from pipeline.training.phases import whole

        # What was compiled for another head does not know what was done to this one.
        programs.forget()
        result = train(
            model,
            self.cut_data.training,
            values,
            phase=whole(self.ground.epochs(epochs)),
            seed=seed,
            objective="val_accuracy",
            report=lambda record: False,
        )
        return result.best.metrics["val_accuracy"] if result.best else 0.0

    def accuracy(self, model: keras.Model) -> float:
        """Returns the share of the judging images that a head gets right."""
        return float((self.probabilities(model).argmax(axis=1) == self.labels).mean())

    def probabilities(self, model: keras.Model) -> NDArray[np.float32]:
        """Returns what a head answers on the judging images, shape (n, num_classes)."""
        from pipeline.training.steps import Predictor

        return Predictor(model)(self.cut_data.training, self.rows)

    @property
    def rows(self) -> NDArray[np.int64]:
        """The judging images among all."""
        if self.cut_data.judge is None:
            raise ValueError("The judging images were not asked for.")
        return self.cut_data.judge

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of the judging images."""
        return self.cut_data.training.labels[self.rows]

    def with_data(self, training: TrainingData, *, shape: tuple[int, ...]) -> Heads:
        """Returns heads on other features of the same images, standardized already."""
        channels = shape[-1]
        other = replace(
            self.cut_data,
            training=training,
            shape=shape,
            mean=[0.0] * channels,
            variance=[1.0] * channels,
        )
        return replace(self, cut_data=other)
