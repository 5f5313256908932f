"""All demonstrations, by the name of the command line: comparisons, and procedures.

To add one: an entry in a table of comparisons, or a module with a `Demonstration`, and a line here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pipeline.bases.table import NO_BASE
from pipeline.lectures.compare import Findings, compare
from pipeline.lectures.comparisons import COMPARISONS
from pipeline.lectures.decisions import DECISIONS
from pipeline.lectures.demonstration import Demonstration, Ground, Shown
from pipeline.lectures.doubt import DOUBT
from pipeline.lectures.ensembles import BAGGING, BOOSTING
from pipeline.lectures.gradients import GRADIENTS
from pipeline.lectures.rates import PROBE
from pipeline.lectures.structure import GROWING, PRUNING
from pipeline.lectures.words import lines

if TYPE_CHECKING:
    from pipeline.lectures.comparison import Comparison
    from pipeline.report.comparison import Panel
    from pipeline.search.executors.base import Executor


def _shown(ground: Ground, executor: Executor, *, comparison: Comparison) -> Shown:
    from pipeline.report.comparison import draw_comparison

    found = compare(comparison, ground, executor)
    return Shown(
        lines=list(lines(found)),
        judged=found.judged,
        draw=partial(
            draw_comparison,
            title=f"{comparison.heading}: {comparison.question}",
            panels=_panels(found),
            values={name: one.values for name, one in found.reached.items()},
        ),
    )


def _panels(found: Findings) -> list[Panel]:
    from pipeline.report.comparison import Panel

    reached = found.reached.items()
    if found.comparison.by_cost:
        losses = {name: one.losses for name, one in reached}
        label = "training loss, nats"
        by_update = {name: one.updates for name, one in reached}
        by_second = {name: one.elapsed for name, one in reached}
        return [
            Panel(curves=losses, places=by_update, x_label="update", y_label=label, is_log=True),
            Panel(curves=losses, places=by_second, x_label="seconds", y_label=label, is_log=True),
        ]
    return [
        Panel(
            curves={name: [[100 * v for v in own] for own in one.curves] for name, one in reached},
            places={name: range(1, len(one.updates) + 1) for name, one in reached},
            x_label="epoch",
            y_label="validation accuracy, %",
        )
    ]


def _of(comparison: Comparison) -> Demonstration:
    variants = comparison.variants.values()
    return Demonstration(
        name=comparison.name,
        heading=comparison.heading,
        question=comparison.question,
        show=partial(_shown, comparison=comparison),
        has_base=any(one.base != NO_BASE for one in variants),
        fewest_images=max(one.num_images or 0 for one in variants),
    )


PROCEDURES: Final = (PROBE, GRADIENTS, BAGGING, BOOSTING, GROWING, PRUNING, DECISIONS, DOUBT)
DEMONSTRATIONS: Final = {
    one.name: one for one in (*PROCEDURES, *(_of(one) for one in COMPARISONS.values()))
}
