"""The figure that most demonstrations have: curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

RIGHT: Final = "right on the images that judge, %"


def curves_of(
    title: str,
    curves: Mapping[str, Mapping[float, float]],
    *,
    x_label: str,
    y_label: str = RIGHT,
    logarithmic: Sequence[str] = (),
) -> Callable[[Path], None]:
    """Returns what draws curves as a PNG; the library that draws is loaded only now.

    Args:
        title: Above them.
        curves: By name, the value at each place.
        x_label: What the places are, with the unit.
        y_label: What the values are, likewise.
        logarithmic: `x`, `y` or both: what is drawn by its logarithm.
    """
    from pipeline.report.curves import draw_curves

    return partial(
        draw_curves,
        title=title,
        curves={name: (list(own), list(own.values())) for name, own in curves.items()},
        x_label=x_label,
        y_label=y_label,
        is_log_x="x" in logarithmic,
        is_log_y="y" in logarithmic,
    )
