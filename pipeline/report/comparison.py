"""A comparison of variants as a picture: what each reached on its way, and by seed in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.report.charts import chart, mark_integers, mark_powers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI: Final = 150
INCHES: Final = (9.0, 4.2)
INCHES_OF_THREE: Final = (13.0, 4.2)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Curves of variants over the course of their trainings.

    Attributes:
        curves: By variant and seed, a value for each epoch; their mean is drawn.
        places: By variant, where the values of its longest training are drawn.
        x_label: What the places are, with the unit.
        y_label: What the values are, likewise.
        is_log: Whether places are drawn by their logarithm.
    """

    curves: Mapping[str, Sequence[Sequence[float]]]
    places: Mapping[str, Sequence[float]]
    x_label: str
    y_label: str
    is_log: bool = False


def draw_comparison(
    file: Path,
    *,
    title: str,
    panels: Sequence[Panel],
    values: Mapping[str, Sequence[float]],
) -> None:
    """Writes a PNG.

    Args:
        file: Its path.
        title: Above it.
        panels: Curves of the same variants; one or more.
        values: By variant, the accuracy of each seed on the images that judge, in [0, 1].
    """
    size = INCHES if len(panels) == 1 else INCHES_OF_THREE
    with chart(title, alt=title, size=size) as drawn:
        figure = drawn.figure
        drawn.axes[0].remove()
        *left, right = figure.subplots(1, len(panels) + 1)
        figure.suptitle(title)
        for axes, panel in zip(left, panels, strict=True):
            _draw(axes, panel)
        for place, own in enumerate(values.values()):
            shifts = np.linspace(-0.15, 0.15, len(own)) if len(own) > 1 else np.zeros(1)
            percent = 100 * np.array(own)
            right.scatter(percent, place + shifts, color=f"C{place}", s=16)
            right.vlines(percent.mean(), place - 0.3, place + 0.3, color=f"C{place}", lw=2)
        right.set_yticks(range(len(values)), list(values))
        right.invert_yaxis()
        right.set_xlabel("right on the images that judge, %: seeds and their mean")
        figure.savefig(file, dpi=DPI, facecolor="white")


def _draw(axes: Axes, panel: Panel) -> None:
    for number, (name, by_seed) in enumerate(panel.curves.items()):
        longest = max(map(len, by_seed), default=0)
        # A training that ended early stays where it ended.
        rows = [[*one, *[one[-1]] * (longest - len(one))] for one in by_seed if one]
        if rows:
            mean = np.mean(rows, axis=0)
            marker = "." if panel.is_log else ""
            axes.plot(panel.places[name], mean, marker=marker, color=f"C{number}", label=name)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    if panel.is_log:
        places = [x for own in panel.places.values() for x in own]
        axes.set_xscale("log")
        mark_powers(axes.xaxis, low=min(places), high=max(places))
    else:
        mark_integers(axes.xaxis)
