"""What networks decide at each point of a plane, as a picture of small maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.report.charts import chart

DPI: Final = 150
COLUMNS: Final = 4
SIDE: Final = 2.4
"""Inches of a map."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionMap:
    """What a network decides.

    Attributes:
        title: Above its map.
        probabilities: Of the second class, in [0, 1], shape (steps, steps); rows from below.
    """

    title: str
    probabilities: NDArray[np.floating[Any]]


def draw_maps(
    file: Path,
    *,
    title: str,
    maps: Sequence[DecisionMap],
    points: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    reach: float,
) -> None:
    """Writes a PNG.

    Args:
        file: Its path.
        title: Above it.
        maps: In order, row by row.
        points: Images on the plane, shape (n, 2).
        labels: Of these, 0 or 1, shape (n,).
        reach: The plane is shown from -reach to reach, both ways.
    """
    num_rows = -(-len(maps) // COLUMNS)
    with chart(title, alt=title, size=(COLUMNS * SIDE, num_rows * SIDE + 0.5)) as drawn:
        figure = drawn.figure
        drawn.axes[0].remove()
        figure.suptitle(title)
        ends = (-reach, reach, -reach, reach)
        for place, one in enumerate(maps):
            axes = figure.add_subplot(num_rows, COLUMNS, place + 1)
            axes.set_title(one.title)
            axes.imshow(
                one.probabilities, origin="lower", extent=ends, cmap="RdBu_r", vmin=0, vmax=1
            )
            colours = np.where(labels == 1, "#8c1d18", "#123c69")
            axes.scatter(points[:, 0], points[:, 1], c=colours, s=2)
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.set_xticks([])
            axes.set_yticks([])
        figure.savefig(file, dpi=DPI, facecolor="white")
