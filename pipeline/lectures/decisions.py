"""Maps of what networks decide on a plane, and how sure they are of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.lectures.demonstration import Demonstration, Ground, Shown, table
from pipeline.lectures.trained import Heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pipeline.search.executors.base import Executor
    from pipeline.training.batches import TrainingData

NETWORKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "no hidden layer": {"num_layers": 0},
    "2 units": {"num_layers": 1, "units": 2, "activation": "relu"},
    "8 units": {"num_layers": 1, "units": 8, "activation": "relu"},
    "2 x 64 units": {"num_layers": 2, "units": 64, "activation": "relu"},
    "tanh": {"num_layers": 2, "units": 16, "activation": "tanh"},
    "sigmoid": {"num_layers": 2, "units": 16, "activation": "sigmoid"},
    "leaky_relu": {"num_layers": 2, "units": 16, "activation": "leaky_relu"},
    "selu": {"num_layers": 2, "units": 16, "activation": "selu"},
}
EPOCHS: Final = 20
STEPS: Final = 120
"""Points of the map on each side."""
NEIGHBOURS: Final = 15
REACH: Final = 3.0
"""Standard deviations of the plane that are shown."""


def _show(ground: Ground, executor: Executor) -> Shown:
    from pipeline.report.maps import DecisionMap, draw_maps
    from pipeline.training.steps import Predictor

    heads, classes = _plane(Heads.on(ground))
    training = heads.cut_data.training
    side = np.linspace(-REACH, REACH, STEPS, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    on_grid = replace(training, features=grid)
    shown = training.train[:400]
    maps, rows = [], [["network", "weights", "validation"]]
    for name, changes in NETWORKS.items():
        values = heads.values(
            **changes, feature_scaling="none", learning_rate=0.01, images_per_epoch=4000
        )
        model = heads.build(values, seed=0)
        value = heads.train(model, values, epochs=EPOCHS, seed=0)
        answers = Predictor(model)(on_grid, np.arange(len(grid)))[:, 1]
        maps.append(
            DecisionMap(title=f"{name}: {value:.1%}", probabilities=answers.reshape(STEPS, STEPS))
        )
        rows.append([name, f"{model.count_params():,}", f"{value:.1%}"])
    return Shown(
        lines=[
            f"classes {classes[0]} and {classes[1]} on the plane of all images' first two "
            "principal components",
            "",
            *table(rows),
        ],
        draw=partial(
            draw_maps,
            title=DECISIONS.title,
            maps=maps,
            points=training.features[shown],
            labels=training.labels[shown],
            reach=REACH,
        ),
    )


def _plane(heads: Heads) -> tuple[Heads, tuple[int, int]]:
    """Returns two classes as points of two dimensions, and which they are.

    Those of which a straight border tells least of what their neighbours tell.
    """
    training = heads.cut_data.training
    pixels = np.asarray(training.features, dtype=np.float32).reshape(len(training.labels), -1)
    centre = pixels[training.train].mean(axis=0)
    _, _, directions = np.linalg.svd(pixels[training.train] - centre, full_matrices=False)
    plane = (pixels - centre) @ directions[:2].T
    pairs = combinations(range(training.num_classes), 2)
    one, other = max(pairs, key=lambda pair: _gain(plane, training, pair))
    is_either = np.isin(training.labels, (one, other))
    rows = training.train[is_either[training.train]]
    plane = (plane - plane[rows].mean(axis=0)) / plane[rows].std(axis=0)
    two = replace(
        training,
        features=plane.astype(np.float32),
        labels=np.where(training.labels == other, 1, 0).astype(np.int64),
        train=rows,
        val=training.val[is_either[training.val]],
        num_classes=2,
        centre=np.zeros((), np.float32),
    )
    return heads.with_data(two, shape=(2,)), (one, other)


def _gain(plane: NDArray[np.float32], training: TrainingData, pair: tuple[int, int]) -> float:
    """Returns how much more of two classes their neighbours tell than a straight border does."""
    rows = training.train[np.isin(training.labels[training.train], pair)]
    places = plane[rows]
    signs = np.where(training.labels[rows] == pair[1], 1.0, -1.0)
    inputs = np.column_stack([places, np.ones(len(rows))])
    weights, *_ = np.linalg.lstsq(inputs, signs, rcond=None)
    straight = (np.sign(inputs @ weights) == signs).mean()
    distances = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    near = min(NEIGHBOURS, len(rows) - 1)
    nearest = np.argpartition(distances, near, axis=1)[:, :near]
    return float((np.sign(signs[nearest].sum(axis=1)) == signs).mean() - straight)


DECISIONS: Final = Demonstration(
    name="decision_map",
    heading="Neural network playground",
    question="Which borders can a network draw?",
    show=_show,
)
