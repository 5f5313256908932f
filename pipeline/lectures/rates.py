"""The probe of learning rates: start large, divide by 3 until training stops diverging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.lectures.demonstration import Demonstration, Ground, Shown, table
from pipeline.lectures.figures import curves_of
from pipeline.lectures.variants import DEEP
from pipeline.search.rate_probe import ProbedRate, largest_sound, probe_rates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.search.executors.base import Executor

OPTIMIZERS: Final = ("sgd", "momentum", "adam")
NUM_FURTHER: Final = 4


def _show(ground: Ground, executor: Executor) -> Shown:
    values = {**ground.defaults, **DEEP, "cut": "pixels"}
    cut = ground.pixels.load_cut("pixels", judge=None)
    found = probe_rates(
        OPTIMIZERS,
        values,
        ground.pixels,
        executor,
        num_classes=cut.training.num_classes,
        num_further=NUM_FURTHER,
    )
    curves = {
        name: {
            one.rate: one.loss
            for one in found
            if one.optimizer == name and one.loss is not None and one.is_sound
        }
        for name in OPTIMIZERS
    }
    return Shown(
        lines=list(_lines(found)),
        draw=curves_of(
            PROBE.title,
            curves,
            x_label="learning rate",
            y_label="training loss after two epochs",
            logarithmic="x",
        ),
    )


def _lines(found: Sequence[ProbedRate]) -> Iterator[str]:
    rates = sorted({one.rate for one in found}, reverse=True)
    by = {(one.optimizer, one.rate): one for one in found}
    rows = [["rate", *OPTIMIZERS]]
    for rate in rates:
        tried = [by.get((name, rate)) for name in OPTIMIZERS]
        rows.append([f"{rate:.3g}", *("" if one is None else _text(one) for one in tried)])
    yield from table(rows)
    yield ""
    for name in OPTIMIZERS:
        largest = largest_sound([one for one in found if one.optimizer == name])
        said = "no rate trains" if largest is None else f"rates up to {largest:.3g} train"
        yield f"{name}: {said}"


def _text(one: ProbedRate) -> str:
    if one.is_sound:
        return f"{one.loss:.3f}"
    return "diverges" if one.loss is None else f"diverges ({one.loss:.3g})"


PROBE: Final = Demonstration(
    name="learning_rate_probe",
    heading="The learning rate",
    question="Which is the largest that trains?",
    show=_show,
)
