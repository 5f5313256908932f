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
# Of ten epochs, on a layer of `UNITS`, that a study comes to: each rung costs about one, the
# confirmation three or four, and the heads that win are half as wide again. With eight, a joined
# head of 6,784 features on 49,974 images took 42 to 79 s for a third of a training, and none was
# trained whole in 400 s of search (Fashion-MNIST, 15 minutes, bac5b58, 2026-11-29).
WHOLE_TRAININGS: Final = 12
EPOCHS: Final = 10
LONGER: Final = (15, 20, 30)
"""Epochs of longer trainings: few steps, since a study of other epochs is another one, and how fast
a machine is differs from minute to minute."""
MOST_PASSES: Final = 30
IMAGES_PER_EPOCH: Final = 8192  # of a smaller training part, as params.yaml comes
UNITS: Final = 256
SPEED_SHARE: Final = 0.4  # of matrix products alone: 0.36 measured, 512 units on 1,792 features
OPERATIONS: Final = 6  # for a weight and an image: a product and a sum, forward and twice backward
HEADS: Final = 3  # that a plan keeps arrays for: SINGLE_HEADS, and several cuts side by side
MOST_OF_A_CUT: Final = 4096
"""Features of one cut, pooled."""
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

    def num_epochs(self, num_features: int, num_train: int) -> int:
        """Returns how many epochs a whole training may have, from `EPOCHS` on.

        What features need less than there is time for goes into longer trainings, up to
        `MOST_PASSES` over the training part. On 1,280 features of Fashion-MNIST 5, 10 and 20 epochs
        reached 0.942, 0.948 and 0.950 on the confirmation part, on 1,728 of CIFAR-10 10 and 20
        epochs 0.893 and 0.899 (2026-11-29, one seed of 256 units, n = 5,000).

        Args:
            num_features: Of a head.
            num_train: Rows that are trained on.
        """
        most = min(
            max(EPOCHS, MOST_PASSES // _num_passes(num_train)),
            EPOCHS * self._affordable(num_train) / num_features,
        )
        return max([EPOCHS, *(epochs for epochs in LONGER if epochs <= most)])

    def _affordable(self, num_train: int) -> float:
        """Returns how many features a study has the time for, with `EPOCHS` of them."""
        operations = TRAINING_SHARE * self.budget_seconds * SPEED_SHARE * self.gflops * 1e9
        num_images = EPOCHS * num_train * _num_passes(num_train)
        return operations / (OPERATIONS * UNITS * WHOLE_TRAININGS * num_images)

    def num_values(self, num_rows: int) -> int:
        """Returns how many numbers of each of so many rows the arrays of a base may keep."""
        return self.max_bytes // (BYTES_PER_VALUE * num_rows)

    def num_features(self, num_train: int, *, num_rows: int) -> int:
        """Returns how many features a head may have, >= 1.

        A study trains on all cores: its seconds, times what they do in one, go to the weights
        between features and first layer. And the arrays of all heads of a plan must fit.

        Args:
            num_train: Rows that are trained on.
            num_rows: Rows that are embedded.
        """
        values = self.num_values(num_rows)
        # A single cut has `MOST_OF_A_CUT` features at most; the joined head has what they leave.
        kept = max(values // HEADS, values - (HEADS - 1) * MOST_OF_A_CUT)
        return max(1, min(MOST_FEATURES, kept, int(self._affordable(num_train))))


def as_many_steps(epochs: int, num_train: int, num_views: int) -> float:
    """Returns how many epochs over views as well have as many steps as epochs without them.

    An epoch over a small training part goes over it several times, and over its views less often.

    Args:
        epochs: Without views.
        num_train: Images of the training part.
        num_views: Further versions of each.

    >>> as_many_steps(10, 50_000, 1), as_many_steps(10, 1000, 1)
    (5.0, 10.0)
    """
    num_rows = num_train * (1 + num_views)
    return epochs * _num_passes(num_train) / ((1 + num_views) * _num_passes(num_rows))


def _num_passes(num_rows: int) -> int:
    """Returns how often an epoch goes over so many rows, as trainings do it."""
    return max(1, round(IMAGES_PER_EPOCH / num_rows))
