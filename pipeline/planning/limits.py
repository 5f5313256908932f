"""What fits into the minutes and the bytes that there are."""

from dataclasses import dataclass
from typing import Final

from pipeline.bases.cuts import BYTES_PER_VALUE

EMBED_SHARE: Final = 0.4
"""Of the budget, for the frozen base over all images."""
TRAINING_SHARE: Final = 0.5
"""Of the budget, for the trials and the confirmation of a study on the base."""
TRIAL_SHARE: Final = 0.2
"""Of the budget, for the fine-tuning of one trial: the lectures' procedure has two such."""
PLAN_SHARE: Final = 0.1
"""Of the budget, for the plan itself."""
# What a study of 10 trials, the best three of which are confirmed with three seeds, comes to: most
# of its trainings are pruned, or stop early. Ten epochs each, on a layer of 256 units.
WHOLE_TRAININGS: Final = 12
EPOCHS: Final = 10
IMAGES_PER_EPOCH: Final = 8192  # of a smaller training part, as params.yaml comes
UNITS: Final = 256
SPEED_SHARE: Final = 0.4  # of matrix products alone: 0.36 measured, 512 units on 1,792 features
OPERATIONS: Final = 6  # for a weight and an image: a product and a sum, forward and twice backward
HEADS: Final = 3  # that a plan keeps arrays for: two single cuts, and several side by side
MOST_FEATURES: Final = 12_288  # of a head, whatever the time: its first layer has 3 million weights


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a machine can do in the time it is given.

    Attributes:
        budget_seconds: For everything from the plan to the last confirmation.
        gflops: Of products of float32 matrices on all cores, 1e9 operations a second.
        max_bytes: That the arrays of a base may take.
    """

    budget_seconds: float
    gflops: float
    max_bytes: int

    @property
    def plan_seconds(self) -> float:
        """For the plan itself."""
        return PLAN_SHARE * self.budget_seconds

    @property
    def trial_seconds(self) -> float:
        """For the fine-tuning of one trial, on one core."""
        return TRIAL_SHARE * self.budget_seconds

    def seconds_per_image(self, num_rows: int) -> float:
        """Returns what embedding an image may take, where so many rows are embedded."""
        return EMBED_SHARE * self.budget_seconds / num_rows

    def num_features(self, num_train: int, *, num_rows: int) -> int:
        """Returns how many features a head may have, >= 1.

        A study trains on all cores: its seconds, times what they do in one, go to the weights
        between features and first layer. And the arrays of all heads of a plan must fit.

        Args:
            num_train: Rows that are trained on.
            num_rows: Rows that are embedded.
        """
        operations = TRAINING_SHARE * self.budget_seconds * SPEED_SHARE * self.gflops * 1e9
        num_images = EPOCHS * num_train * max(1, round(IMAGES_PER_EPOCH / num_train))
        per_feature = OPERATIONS * UNITS * WHOLE_TRAININGS * num_images
        kept = self.max_bytes // (HEADS * BYTES_PER_VALUE * num_rows)
        return max(1, min(MOST_FEATURES, kept, int(operations / per_feature)))
