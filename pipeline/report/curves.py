"""Curves of some things over a number, as a picture of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pipeline.report.charts import chart, mark_powers

DPI: Final = 150
INCHES: Final = (7.0, 4.2)


def draw_curves(
    file: Path,
    *,
    title: str,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    is_log_x: bool = False,
    is_log_y: bool = False,
) -> None:
    """Writes a PNG.

    Args:
        file: Its path.
        title: Above it.
        curves: By name, the places of its points and their values.
        x_label: What the places are, with the unit.
        y_label: What the values are, likewise.
        is_log_x: Whether places are drawn by their logarithms; all are > 0.
        is_log_y: Likewise the values.
    """
    with chart(title, alt=title, size=INCHES) as drawn:
        (axes,) = drawn.axes
        for place, (name, (x, y)) in enumerate(curves.items()):
            # Ten colours, then the same ones dashed.
            axes.plot(x, y, f"C{place % 10}o{'-' if place < 10 else '--'}", ms=4, label=name)
        # Two lines: what it is of, and its question.
        axes.set_title(title.replace(": ", ":\n", 1))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if is_log_x:
            axes.set_xscale("log")
            places = [x for own, _ in curves.values() for x in own]
            mark_powers(axes.xaxis, low=min(places), high=max(places))
        if is_log_y:
            axes.set_yscale("log")
            values = [y for _, own in curves.values() for y in own]
            mark_powers(axes.yaxis, low=min(values), high=max(values))
        axes.legend()
        drawn.figure.savefig(file, dpi=DPI, facecolor="white")
