"""What happens to each class: its scores, and which classes are taken for which."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import Labels, Probabilities


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class's scores.

    Attributes:
        index: The class id, its place among the class names.
        precision: Share of the predictions of this class that are right; None without any.
        recall: Share of the examples of this class that are found; None without any.
        f1: Harmonic mean, 2 tp / (2 tp + fp + fn); None where both are None.
        n: Number of examples whose label it is.
    """

    index: int
    precision: float | None
    recall: float | None
    f1: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """One way of being wrong: how many examples of a class id, `actual`, were taken for another.

    `share` is what part of that class's examples these are, in (0, 1].
    """

    actual: int
    predicted: int
    count: int
    share: float


def class_scores(counts: NDArray[np.integer[Any]]) -> list[ClassScore]:
    """Returns every class's scores.

    Args:
        counts: `metrics.confusion_counts`, shape (num_classes, num_classes), rows are labels.
    """
    columns = [counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)]
    return [
        ClassScore(
            index=index,
            precision=_share(hits, predicted),
            recall=_share(hits, actual),
            f1=_share(2 * hits, predicted + actual),
            n=actual,
        )
        for index, (hits, actual, predicted) in enumerate(np.stack(columns, axis=1).tolist())
    ]


def most_confused(counts: NDArray[np.integer[Any]], *, limit: int) -> list[Confusion]:
    """Returns the most frequent mistakes, most frequent first, at most `limit`.

    Args:
        counts: `metrics.confusion_counts`, shape (num_classes, num_classes), rows are labels.
        limit: Most mistakes to return, >= 0.
    """
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    # Stable, so that equally frequent mistakes come in the order of their classes.
    cells = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    rows, columns = np.unravel_index(cells, wrong.shape)
    return [
        Confusion(
            actual=int(row),
            predicted=int(column),
            count=int(wrong[row, column]),
            share=float(wrong[row, column] / counts[row].sum()),
        )
        for row, column in zip(rows, columns, strict=True)
        if wrong[row, column]
    ]


def most_confident_mistakes(
    probabilities: Probabilities, labels: Labels, *, limit: int
) -> NDArray[np.int64]:
    """Returns the wrongly classified examples, surest of the wrong class first.

    Args:
        probabilities: Shape (n, num_classes).
        labels: Class ids, shape (n,).
        limit: Most examples to return, >= 0.

    Returns:
        Indices of examples, shape (at most limit,).

    >>> most_confident_mistakes(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([1, 0]), limit=5)
    array([0, 1])
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    confidence = probabilities.max(axis=1)[wrong]
    return wrong[np.argsort(-confidence, kind="stable")][:limit].astype(np.int64)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
