"""How gradients vanish on their way down, and what keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.lectures.compare import hyperparameters
from pipeline.lectures.demonstration import Demonstration, Ground, Shown, table
from pipeline.lectures.figures import curves_of
from pipeline.lectures.variants import PLAIN
from pipeline.search.all_of_them import train_all
from pipeline.training.messages import TrialSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.search.executors.base import Executor

PAIRS: Final = (("sigmoid", "glorot"), ("tanh", "glorot"), ("relu", "he"), ("selu", "lecun"))
# At a rate so small the weights stay those that they began as.
COMMON: Final[Mapping[str, Any]] = {
    **PLAIN,
    **{"cut": "pixels", "num_layers": 5, "units": 100, "optimizer": "sgd", "learning_rate": 1e-5},
    **{"schedule": "constant"},
}


def _show(ground: Ground, executor: Executor) -> Shown:
    by_name = _norms(ground, executor)
    layers = range(1, 1 + len(next(iter(by_name.values()))))
    rows = [["gradient's norm by layer", *map(str, layers), "first / last"]]
    rows += [
        [name, *(f"{one:.2g}" for one in own), f"{own[0] / own[-1]:.2g}"]
        for name, own in by_name.items()
    ]
    return Shown(
        lines=list(table(rows)),
        draw=curves_of(
            GRADIENTS.title,
            {name: dict(zip(layers, own, strict=True)) for name, own in by_name.items()},
            x_label="layer, from the images to the probabilities",
            y_label="norm of its gradient",
            logarithmic="y",
        ),
    )


def _norms(ground: Ground, executor: Executor) -> dict[str, list[float]]:
    """Returns by network the norm of each layer's gradient, the median over the seeds."""
    specs = {
        (f"{activation}, {initializer}{with_it}", seed): TrialSpec(
            uid=f"{activation}, {initializer}{with_it}, {seed}",
            hyperparameters=hyperparameters(
                {
                    **COMMON,
                    "activation": activation,
                    "initializer": initializer,
                    "normalization": normalization,
                },
                ground.defaults,
            ),
            seed=seed,
            epochs=1,
        )
        for normalization, with_it in (("none", ""), ("before", ", batch norm"))
        for activation, initializer in PAIRS
        for seed in range(ground.num_seeds)
    }
    trained = train_all([(spec, ground.pixels) for spec in specs.values()], executor)
    rows: dict[str, list[Sequence[float]]] = {}
    for (name, _), spec in specs.items():
        health = trained[spec.uid].records[0].health
        if health is not None:
            rows.setdefault(name, []).append(health.gradient_norms)
    return {name: np.median(np.array(own), axis=0).tolist() for name, own in rows.items()}


GRADIENTS: Final = Demonstration(
    name="gradients",
    heading="Vanishing and exploding gradients",
    question="How much of the gradient reaches the first layer?",
    show=_show,
)
