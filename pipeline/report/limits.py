"""What limits a model: which part of its error is on what it learned from, and which is not.

The lectures ask in this order: is the fit to the training images acceptable? If not, the network
is too small, its rate or its time too little, or the labels are wrong. Is the gap to images that it
has not seen? If not, more images or regularization come first.
"""

from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.intervals import wilson_interval
from pipeline.report.text import percent, points
from pipeline.trials.confirmation import ConfirmationRecord

HELD_OUT: Final = "confirmation_accuracy"
Limit = Literal["gap", "fit", "open"]
_NEXT: Final[dict[Limit, str]] = {
    "gap": "Close the gap first: more training images, views of them (embed.bases), more dropout "
    "or weight decay; and that before more layers or units.",
    "fit": "Improve the fit first: more units or layers, more epochs, layers of the base to "
    "fine-tune (unfreeze), and a look at the labels; more regularization would not help.",
    "open": "More images to judge by first (split.confirmation_size, split.val_size): so few "
    "cannot tell the fit from the gap.",
}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How well a configuration does on what it learned from and on what it has not seen.

    Attributes:
        train: Accuracy on the training images in the best of its epochs, in [0, 1]; counted while
            it trained, with dropout on, so that it rather understates how well it can fit them.
        held_out: Accuracy on the confirmation images, which nothing before has seen.
        n: Number of these images.
    """

    train: float
    held_out: float
    n: int

    @property
    def gap(self) -> float:
        """How much better it does on what it learned from."""
        return self.train - self.held_out

    @property
    def noise(self) -> float:
        """Half the 95% interval of the accuracy on the images it has not seen (Wilson)."""
        around = wilson_interval(round(self.held_out * self.n), self.n)
        return (around.high - around.low) / 2

    @property
    def limit(self) -> Limit:
        """The larger part of the error: `gap`, `fit`, or `open` where both are within noise."""
        if max(self.gap, 1 - self.train) <= self.noise:
            return "open"
        return "gap" if self.gap > max(self.noise, 1 - self.train) else "fit"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes that are taken for each other, either way.

    Attributes:
        one: A class id.
        other: Another one.
        share: Of all mistakes, those between the two, in (0, 1].
        num_wrong: All mistakes.
    """

    one: int
    other: int
    share: float
    num_wrong: int


def fit_of(confirm: ConfirmationRecord) -> Fit | None:
    """Returns the winner's fit, as mean over its trainings; None where an early release noted none.

    Args:
        confirm: The confirmation.
    """
    own = [one for one in confirm.trainings if one.number == confirm.winner_number]
    known = [
        (max(epoch.metrics.get("accuracy", 0.0) for epoch in one.epochs), one.metrics[HELD_OUT])
        for one in own
        if one.epochs and HELD_OUT in one.metrics
    ]
    if not known:
        return None
    train, held_out = (fmean(values) for values in zip(*known, strict=True))
    return Fit(train=train, held_out=held_out, n=confirm.n)


def told_fit(fit: Fit) -> str:
    """Says how the error divides.

    >>> told_fit(Fit(train=0.99, held_out=0.93, n=5_000))
    'The gap: in its best epoch it was right on 99.00% of the images it learned from, and it is on \
93.00% of 5,000 it has not seen.'
    """
    figures = (
        f"in its best epoch it was right on {percent(fit.train, fit.n)} of the images it learned "
        f"from, and it is on {percent(fit.held_out, fit.n)} of {fit.n:,} it has not seen"
    )
    noise = f"within the {points(fit.noise, fit.n)} points that so many images leave open"
    if fit.limit == "open":
        return f"Not to be told: {figures}; gap and training error are both {noise}."
    if fit.gap <= fit.noise:
        return f"The fit: {figures}; the difference is {noise}."
    return f"The {'gap' if fit.limit == 'gap' else 'fit more than the gap'}: {figures}."


def told_next(fit: Fit) -> str:
    """Says what the lectures ask for next."""
    return _NEXT[fit.limit]


def worst_pair(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Pair | None:
    """Returns the two classes with the most mistakes between them; None if there are no mistakes.

    Args:
        probabilities: Shape (n, num_classes).
        labels: Class ids, shape (n,).

    >>> worst_pair(np.eye(3)[[1, 0, 2, 1]], np.array([0, 1, 2, 2]))
    Pair(one=0, other=1, share=0.6666666666666666, num_wrong=3)
    """
    num_classes, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
    wrong = predicted != labels
    num_wrong = int(wrong.sum())
    if not num_wrong:
        return None
    low, high = np.minimum(predicted, labels)[wrong], np.maximum(predicted, labels)[wrong]
    counts = np.bincount(low * num_classes + high, minlength=num_classes**2)
    one, other = divmod(int(counts.argmax()), num_classes)
    return Pair(one=one, other=other, share=float(counts.max() / num_wrong), num_wrong=num_wrong)
