"""How many of the confirmed trainings are averaged in the exported model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.objectives import ObjectiveSpec


def best_size(
    votes: Sequence[NDArray[np.float32]], labels: NDArray[np.int64], objective: ObjectiveSpec
) -> int:
    """Returns how many networks, taken in their order, answer best together.

    Only as many ensembles are compared as there are networks, so that little is gained by chance;
    choosing freely among them (Caruana et al. 2004, "Ensemble selection from libraries of models",
    section 2) overfits a small validation part.

    Args:
        votes: Of each network its probabilities, shape (n, num_classes), in the order in which they
            are taken; one or more.
        labels: Class ids of the same n images, of a part that nothing is judged on afterwards.
        objective: What ensembles are compared by; the smaller wins a tie.
    """
    best, best_value = 0, objective.worst
    for size in range(1, len(votes) + 1):
        mean = np.mean(votes[:size], axis=0)
        value = classification_metrics(mean, labels)[objective.measure]
        if best == 0 or objective.is_better(value, best_value):
            best, best_value = size, value
    return best
