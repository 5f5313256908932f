"""Networks that grow while they are trained, and networks that are pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.lectures.demonstration import Demonstration, Ground, Shown, table
from pipeline.lectures.figures import curves_of
from pipeline.lectures.trained import Heads

if TYPE_CHECKING:
    from pipeline.search.executors.base import Executor

FIRST_UNITS: Final = 4
LAST_UNITS: Final = 512
GROWING_EPOCHS: Final = 4
LEAST_GAIN: Final = 0.002
"""Of validation accuracy, that makes a larger network worth keeping."""
PATIENCE: Final = 2
"""Growths without it that end the growing."""
GROWN: Final[Mapping[str, Any]] = {
    **{"num_layers": 1, "units_shape": "same", "normalization": "none", "normalize_first": False},
    "schedule": "constant",
}
"""What has dense layers alone, whose weights can be copied into larger ones."""
LARGE: Final[Mapping[str, Any]] = {"num_layers": 2, "units": 256}
PRUNED_SHARES: Final = (0.5, 0.8, 0.9, 0.95, 0.98)
FIRST_EPOCHS: Final = 8
MORE_EPOCHS: Final = 3
L1: Final = 1e-4
NEARLY_ZERO: Final = 1e-3

Points = dict[float, float]
"""Shares of the judging images that are right, by what is changed."""


def _growing(ground: Ground, executor: Executor) -> Shown:
    heads = Heads.on(ground)
    rows, grown = _grown(heads)
    last = max(grown)
    values = heads.values(units=int(last), **GROWN)
    at_once = heads.build(values, seed=0)
    heads.train(at_once, values, epochs=GROWING_EPOCHS * len(grown), seed=0)
    whole = heads.accuracy(at_once)
    said = f"of {last} units from the start, for as many epochs: {whole:.1%}"
    return Shown(
        lines=[*table(rows), "", said],
        draw=curves_of(
            GROWING.title,
            {"grown": _percent(grown), "at once": _percent({last: whole})},
            x_label="units of the hidden layer",
            logarithmic="x",
        ),
    )


def _grown(heads: Heads) -> tuple[list[list[str]], Points]:
    """Returns a row for each size, and what each reached, until a larger one is not better."""
    from pipeline.training.growing import grow

    rows, reached = [["units", "weights", "validation", "judged"]], Points()
    units, model, best, waited = FIRST_UNITS, None, 0.0, 0
    while units <= LAST_UNITS and waited < PATIENCE:
        values = heads.values(units=units, **GROWN)
        larger = heads.build(values, seed=units)
        if model is not None:
            grow(model, larger)
        model = larger
        value = heads.train(model, values, epochs=GROWING_EPOCHS, seed=units)
        reached[units] = heads.accuracy(model)
        rows.append(
            [f"{units}", f"{model.count_params():,}", f"{value:.1%}", f"{reached[units]:.1%}"]
        )
        waited = 0 if value >= best + LEAST_GAIN else waited + 1
        best, units = max(best, value), 2 * units
    return rows, reached


def _pruning(ground: Ground, executor: Executor) -> Shown:
    from pipeline.training.growing import saved_zero_share, smallest_masks, take_away

    heads = Heads.on(ground)
    values = heads.values(**LARGE)
    model = heads.build(values, seed=0)
    heads.train(model, values, epochs=FIRST_EPOCHS, seed=0)
    whole = heads.accuracy(model)
    rows = [["weights left", "at once", "trained on"], ["100%", f"{whole:.1%}", ""]]
    at_once, trained_on = Points({100: whole}), Points({100: whole})
    for share in PRUNED_SHARES:
        left = round(100 * (1 - share))
        take_away(model, smallest_masks(model, share))
        at_once[left] = heads.accuracy(model)
        heads.train(model, values, epochs=MORE_EPOCHS, seed=left)
        trained_on[left] = heads.accuracy(model)
        rows.append([f"{left}%", f"{at_once[left]:.1%}", f"{trained_on[left]:.1%}"])
    kept = saved_zero_share(model, ground.folder / "pruned.keras")
    said = f"the file that was saved: {kept:.1%} of its weights are 0"
    return Shown(
        lines=[*table(rows), "", said, _sparse(heads)],
        draw=curves_of(
            PRUNING.title,
            {"at once": _percent(at_once), "trained on": _percent(trained_on)},
            x_label="weights left, %",
            logarithmic="x",
        ),
    )


def _sparse(heads: Heads) -> str:
    """Says how sparse a penalty of the weights' absolute values makes the same network."""
    from pipeline.training.growing import dense_layers

    values = heads.values(**LARGE, regularizer="l1", l1=L1)
    model = heads.build(values, seed=0)
    heads.train(model, values, epochs=FIRST_EPOCHS, seed=0)
    kernels = [layer.get_weights()[0] for layer in dense_layers(model)]
    small = sum(int((abs(one) < NEARLY_ZERO).sum()) for one in kernels)
    share = small / sum(one.size for one in kernels)
    return (
        f"l1 of {L1:g} instead: {share:.1%} of the weights below {NEARLY_ZERO:g}, "
        f"{heads.accuracy(model):.1%} right"
    )


def _percent(points: Points) -> Points:
    return {place: 100 * value for place, value in points.items()}


GROWING: Final = Demonstration(
    name="growing",
    heading="Network growing",
    question="How large must a network be that begins small?",
    show=_growing,
)
PRUNING: Final = Demonstration(
    name="pruning",
    heading="Network pruning",
    question="How many of its weights does a large network need?",
    show=_pruning,
)
