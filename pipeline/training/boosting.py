"""AdaBoost for several classes: SAMME, and its form with probabilities, SAMME.R.

Zhu, Zou, Rosset and Hastie 2009, "Multi-class AdaBoost", Statistics and Its Interface 2, algorithms
2 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.evaluation.label_errors import softmax

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from pipeline.training.export import Vote

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int64]

SMALLEST: Final = float(np.finfo(np.float64).eps)
"""Probabilities are taken for this at least: of 0 there is no logarithm."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a weak learner added.

    Attributes:
        error: Share of the weight on examples that it gets wrong, in [0, 1].
        vote: Its weight among the learners, alpha; 1 for SAMME.R, where probabilities vote.
        weights: Of the examples after it, shape (n,); sum 1.
    """

    error: float
    vote: float
    weights: Floats


def samme(answers: NDArray[np.floating], labels: Labels, weights: Floats) -> Round | None:
    """Weighs a learner by its error, and the examples by whether it gets them wrong.

    vote = log((1 - error) / error) + log(K - 1); an example that is wrong weighs exp(vote) times as
    much as before.

    Args:
        answers: Probabilities of the examples, shape (n, K).
        labels: Class ids, shape (n,).
        weights: Of the examples before, shape (n,); sum 1.

    Returns:
        None if the learner is no better than chance: boosting ends before it.
    """
    num_classes = answers.shape[1]
    is_wrong = answers.argmax(axis=1) != labels
    error = float(weights[is_wrong].sum())
    if error >= 1 - 1 / num_classes:
        return None
    # A learner without an error outvotes all others, by as much as can be told.
    bounded = max(error, SMALLEST)
    vote = float(np.log((1 - bounded) / bounded) + np.log(num_classes - 1))
    after = weights * np.exp(vote * is_wrong)
    return Round(error=error, vote=vote, weights=after / after.sum())


def samme_r(answers: NDArray[np.floating], labels: Labels, weights: Floats) -> Round | None:
    """Weighs the examples by the probabilities that a learner gives them.

    An example's weight is multiplied by exp(-(K - 1) / K * y . log p), where y is 1 for its class
    and -1 / (K - 1) for the others.

    Args:
        answers: Probabilities of the examples, shape (n, K).
        labels: Class ids, shape (n,).
        weights: Of the examples before, shape (n,); sum 1.

    Returns:
        None if the learner is no better than chance.
    """
    num_classes = answers.shape[1]
    error = float(weights[answers.argmax(axis=1) != labels].sum())
    if error >= 1 - 1 / num_classes:
        return None
    coded = np.full(answers.shape, -1 / (num_classes - 1))
    coded[np.arange(len(labels)), labels] = 1.0
    logs = np.log(np.maximum(answers, SMALLEST))
    after = weights * np.exp(-(num_classes - 1) / num_classes * (coded * logs).sum(axis=1))
    return Round(error=error, vote=1.0, weights=after / after.sum())


def vote_of(answers: Sequence[NDArray[np.floating]], votes: Sequence[float]) -> Floats:
    """Returns how much weight of the learners each class has, as shares, shape (n, K).

    Args:
        answers: Of each learner the probabilities of the same examples, shape (n, K).
        votes: Of each.
    """
    total = np.zeros(answers[0].shape)
    for one, vote in zip(answers, votes, strict=True):
        total[np.arange(len(one)), one.argmax(axis=1)] += vote
    shares: Floats = total / total.sum(axis=1, keepdims=True)
    return shares


def sum_of_logs(answers: Sequence[NDArray[np.floating]]) -> Floats:
    """Returns the classes' probabilities by SAMME.R, shape (n, K).

    The score of a class is the mean over learners of log p - mean log p, which is theirs up to a
    factor; probabilities are the softmax of the scores.

    Args:
        answers: Of each learner the probabilities of the same examples, shape (n, K).
    """
    logs = [np.log(np.maximum(one, SMALLEST)) for one in answers]
    scores = np.sum([one - one.mean(axis=1, keepdims=True) for one in logs], axis=0) / len(logs)
    return softmax(scores)


def vote_in_keras(votes: Sequence[float]) -> Vote:
    """Returns what `vote_of` computes as a part of a Keras model, of Keras' own operations.

    Args:
        votes: Of each learner.
    """

    def vote(answers: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        from keras import ops

        num_classes = answers[0].shape[-1]
        chosen = [ops.one_hot(ops.argmax(one, axis=-1), num_classes) for one in answers]
        total = sum(weight * one for weight, one in zip(votes, chosen, strict=True))
        return total / sum(votes)

    return vote


Rule = Callable[["NDArray[np.floating]", "Labels", "Floats"], "Round | None"]


class Boosting:
    """One run of AdaBoost: says what the next learner is trained on, and takes what it answers.

    Args:
        labels: Class ids of the examples, shape (n,).
        rule: `samme` or `samme_r`.

    Attributes:
        weights: Of the examples for the next learner, shape (n,); sum 1.
        rounds: Of the learners so far.
        answers: Probabilities that each of them gives the images that judge.
        is_over: Whether a learner was no better than chance: it is left out, unless it is the
            first.
    """

    def __init__(self, labels: Labels, rule: Rule) -> None:
        self._labels, self._rule = labels, rule
        self.weights: Floats = np.full(len(labels), 1 / len(labels))
        self.rounds: list[Round] = []
        self.answers: list[NDArray[np.floating]] = []
        self.is_over = False

    def add(self, own: NDArray[np.floating], judged: NDArray[np.floating]) -> None:
        """Takes a learner.

        Args:
            own: Probabilities that it gives the examples, shape (n, K).
            judged: Those that it gives the images that judge.
        """
        one = self._rule(own, self._labels, self.weights)
        self.is_over = one is None
        if one is None and not self.rounds:
            # Somebody must answer.
            error = float(self.weights[own.argmax(axis=1) != self._labels].sum())
            one = Round(error=error, vote=1.0, weights=self.weights)
        if one is None:
            return
        self.rounds.append(one)
        self.answers.append(judged)
        self.weights = one.weights
