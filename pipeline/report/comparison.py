"""A comparison of variants as a picture: what each reached by epoch, and by seed in the end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.report.charts import chart, mark_integers

DPI: Final = 150
INCHES: Final = (9.0, 4.2)


def draw_comparison(
    file: Path,
    *,
    title: str,
    curves: Mapping[str, Sequence[Sequence[float]]],
    values: Mapping[str, Sequence[float]],
) -> None:
    """Writes a PNG.

    Args:
        file: Its path.
        title: Above it.
        curves: By variant and seed, the validation accuracy of each epoch, in [0, 1].
        values: By variant, the accuracy of each seed on the images that judge, in [0, 1].
    """
    with chart(title, alt=title, size=INCHES) as drawn:
        figure = drawn.figure
        drawn.axes[0].remove()
        left, right = figure.subplots(1, 2)
        figure.suptitle(title)
        for place, (name, by_seed) in enumerate(curves.items()):
            longest = max(map(len, by_seed), default=0)
            # A training that ended early stays where it ended.
            rows = [[*one, *[one[-1]] * (longest - len(one))] for one in by_seed if one]
            if rows:
                epochs = np.arange(1, longest + 1)
                left.plot(epochs, 100 * np.mean(rows, axis=0), color=f"C{place}", label=name)
        left.set_xlabel("epoch")
        left.set_ylabel("validation accuracy, %")
        mark_integers(left.xaxis)
        for place, own in enumerate(values.values()):
            shifts = np.linspace(-0.15, 0.15, len(own)) if len(own) > 1 else np.zeros(1)
            percent = 100 * np.array(own)
            right.scatter(percent, place + shifts, color=f"C{place}", s=16)
            right.vlines(percent.mean(), place - 0.3, place + 0.3, color=f"C{place}", lw=2)
        right.set_yticks(range(len(values)), list(values))
        right.invert_yaxis()
        right.set_xlabel("right on the images that judge, %: seeds and their mean")
        figure.savefig(file, dpi=DPI, facecolor="white")
