"""Monte Carlo dropout: how sure a network is, by dropping units when it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.evaluation.abstention import abstentions
from pipeline.evaluation.metrics import METRICS
from pipeline.lectures.demonstration import Demonstration, Ground, Shown, table
from pipeline.lectures.figures import curves_of
from pipeline.lectures.trained import Heads

if TYPE_CHECKING:
    from pipeline.search.executors.base import Executor

NUM_PASSES: Final = 30
EPOCHS: Final = 10
SHARES: Final = (0.0, 0.05, 0.1, 0.2, 0.3)


def _show(ground: Ground, executor: Executor) -> Shown:
    from pipeline.training.batches import gather
    from pipeline.training.dropout_samples import DropoutHead

    heads = Heads.on(ground)
    values = heads.values(num_layers=2, units=256, dropout="all", dropout_rate=0.3)
    model = heads.build(values, seed=0)
    heads.train(model, values, epochs=EPOCHS, seed=0)
    training = heads.cut_data.training
    features = gather(training.features, heads.rows).astype(np.float32) + training.centre
    sampled = DropoutHead(model, seed=0)
    _, *below = sampled.stem.predict(features, verbose=0)
    answers = {
        "dropout off": heads.probabilities(model),
        f"mean of {NUM_PASSES} passes": sampled.mean(below, num_passes=NUM_PASSES),
    }
    rows = [
        ["", "right", "log loss", *(f"least sure {share:.0%} left out" for share in SHARES[1:])]
    ]
    curves = {}
    for name, own in answers.items():
        right = [one.accuracy for one in abstentions(own, heads.labels, SHARES)]
        loss = METRICS.get("log_loss")(own, heads.labels)
        rows.append([name, f"{right[0]:.1%}", f"{loss:.3f}", *(f"{one:.1%}" for one in right[1:])])
        curves[name] = {100 * share: 100 * one for share, one in zip(SHARES, right, strict=True)}
    return Shown(
        lines=list(table(rows)),
        draw=curves_of(
            DOUBT.title,
            curves,
            x_label="least sure answers left out, %",
            y_label="right of the others, %",
        ),
    )


DOUBT: Final = Demonstration(
    name="monte_carlo_dropout",
    heading="Monte Carlo dropout",
    question="Does dropping units tell what a network is not sure of?",
    show=_show,
)
