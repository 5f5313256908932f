"""What `benchmarks.transfer` leaves behind: a file of figures, a table and a plot for each part.

The figures are written after every training. A part that is started again with the same settings
trains what is missing, and draws.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from pipeline.files import read_json, write_json
from pipeline.records.lineage import git_tags, machine_tags, version_tags
from pipeline.report.charts import BLUE, GRAY, ORANGE, RED, chart

ROOT = Path(__file__).parents[1]
COLORS = (GRAY, ORANGE, BLUE, RED)
TITLES = {"fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}


class Figures:
    """The figures of a part, by key, in a file that is always whole.

    Args:
        file: Where they are; what it holds already is kept.
        settings: What they depend on. They must be those that the file was begun with.
    """

    def __init__(self, file: Path, settings: Mapping[str, Any]) -> None:
        self.file = file
        if not file.is_file():
            begun = {"settings": dict(settings), "where": _where(), "figures": {}}
            write_json(file, begun)
        self._content = read_json(file)
        if self._content["settings"] != read_settings(settings):
            raise SystemExit(
                f"{file} must be of the same settings to go on. It has "
                f"{self._content['settings']}. Received: {settings}. Name another --out."
            )

    def __contains__(self, key: str) -> bool:
        return key in self._content["figures"]

    def __getitem__(self, key: str) -> Any:
        return self._content["figures"][key]

    def __setitem__(self, key: str, value: object) -> None:
        self._content["figures"][key] = value
        write_json(self.file, self._content)

    def of(self, name: str, keys: Sequence[str]) -> list[float]:
        """Returns one figure of several trainings."""
        return [float(self[key][name]) for key in keys]

    @property
    def where(self) -> str:
        """Machine, commit and date."""
        return str(self._content["where"])


def read_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings as they come back from JSON."""
    import json

    read: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return read


def _where() -> str:
    git, machine, versions = git_tags(ROOT), machine_tags(), version_tags()
    changed = " with changes" if git["git.dirty"] == "true" else ""
    return (
        f"{machine['machine.cores']} cores of {_processor()}, {machine['machine.memory_gb']} GB; "
        f"TensorFlow {versions['version.tensorflow']}, Keras {versions['version.keras']}; "
        f"commit {git['git.commit'][:7]}{changed}; {datetime.now(UTC):%Y-%m-%d}"
    )


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unnamed processor"


def spread(values: Sequence[float]) -> str:
    """Returns mean and standard deviation over seeds.

    >>> spread([0.5, 0.6])
    '0.550 ± 0.071'
    """
    mean = f"{statistics.fmean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def over_seeds(seeds: int) -> str:
    """Returns what the numbers of `spread` are over.

    >>> over_seeds(1), over_seeds(3)
    ('one seed', 'mean ± standard deviation over 3 seeds')
    """
    return "one seed" if seeds == 1 else f"mean ± standard deviation over {seeds} seeds"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints markdown."""
    print("\n| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


@contextmanager
def plot(file: Path, *, title: str, x: str, y: str) -> Iterator[Axes]:
    """Gives axes to draw on in the report's style, and writes them as a PNG."""
    with chart(file.stem, alt=title, size=(6.0, 3.6)) as drawn:
        (axes,) = drawn.axes
        yield axes
        axes.set(title=title, xlabel=x, ylabel=y)
        axes.legend(loc="best")
        drawn.figure.savefig(file, facecolor="white")


def draw_lines(
    axes: Axes,
    x: Sequence[float],
    lines: Mapping[str, Sequence[Sequence[float]]],
) -> None:
    """Draws mean and standard deviation over seeds against a logarithmic x.

    Args:
        axes: To draw on.
        x: Of the points.
        lines: By label, the values of each point.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    for color, (label, points) in zip(COLORS, lines.items(), strict=False):
        means = [statistics.fmean(values) for values in points]
        errors = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in points]
        axes.errorbar(x, means, errors, color=color, label=label, marker="o", ms=4, capsize=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(x)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
