"""Drawing without a screen: a matplotlib figure as a piece of HTML.

The text of a figure stays text and takes the colour of the page, so that one figure serves light
and dark pages, print and screen readers. Equal data give equal bytes.
"""

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pipeline.report.summary import SearchSummary, focus

# Each has a contrast of at least 3 to 1 with the page's white and its dark grey.
BLUE = "#2f7fd1"
ORANGE = "#d9730d"
GRAY = "#868e96"
RED = "#d6453d"

# Becomes the page's text colour once the figure is in the page.
INK = "#010203"
# matplotlib's stubs know the keys one by one.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    # Verdana has the widths of DejaVu, with which the space for labels is computed.
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 9.0,
    # Names of classes and layers are text: a dollar sign in them must not start a formula.
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.facecolor": "none",
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "path.simplify": True,
}
# Above this many marks a figure's data are drawn as pixels: 1,000 trials in two studies with ten
# hyperparameters each would make 2.7 MB of marks.
MAX_VECTOR_MARKS = 500
_PIXELS_PER_INCH = 160


@dataclass
class Chart:
    """A figure with its panels, top to bottom; `markup` is its HTML once it is finished."""

    figure: Figure
    axes: list[Axes]
    markup: Markup = field(default_factory=Markup)


@contextmanager
def chart(
    key: str,
    *,
    alt: str,
    size: tuple[float, float],
    num_marks: int = 0,
    height_ratios: tuple[float, ...] = (1.0,),
) -> Iterator[Chart]:
    """Gives panels to draw on; afterwards `markup` holds the figure.

    Args:
        key: Unique in the page: two figures must not share the ids of their parts.
        alt: What the figure shows, for those who do not see it.
        size: Width and height, inches; a column of the page is about 5 wide.
        num_marks: Points that will be drawn; above `MAX_VECTOR_MARKS` they become pixels.
        height_ratios: Relative heights of the panels, top to bottom, which share their x axis.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": key}):
        figure = Figure(figsize=size, layout="constrained", dpi=_PIXELS_PER_INCH)
        axes = figure.subplots(
            len(height_ratios), 1, sharex=True, squeeze=False, height_ratios=height_ratios
        )[:, 0].tolist()
        drawn = Chart(figure=figure, axes=axes)
        yield drawn
        if num_marks > MAX_VECTOR_MARKS:
            for panel in axes:
                for artist in (*panel.lines, *panel.collections):
                    artist.set_rasterized(True)
        with warnings.catch_warnings():
            # The browser draws the text, in a font that has its letters; here only widths count.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            drawn.markup = _markup(figure, alt=alt)


def mark_powers(axis: Axis, *, low: float, high: float) -> None:
    """Puts few plain numbers on a logarithmic axis; matplotlib's own are formulas.

    Args:
        axis: A logarithmic axis.
        low: Smallest value on it, > 0.
        high: Largest value on it, > `low`.
    """
    # 1, 3, 10, 30 are about evenly spaced; over many decades the powers of ten are enough.
    is_wide = high / low > 10**2.5
    axis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 3.0), numticks=6))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def mark_integers(axis: Axis) -> None:
    """Puts whole numbers only on an axis."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _markup(figure: Figure, *, alt: str) -> Markup:
    stream = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Not `savefig`, which draws everything twice to find the bounds that `figsize` sets already.
    FigureCanvasSVG(figure).print_svg(stream, metadata=no_metadata)  # type: ignore[no-untyped-call]
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', text)
    head = f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{html.escape(alt)}">'
    body = text[text.index(">") + 1 :]
    # The groups' ids repeat from figure to figure and nothing refers to them; the style sheet
    # would hold for the whole page, so page.css has its one rule.
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    return Markup(head + body.replace(INK, "currentColor").strip())


# By outcome: the mark and its colour.
MARKERS = {"complete": ("o", BLUE), "pruned": ("x", GRAY)}
# Above this many trials, marks and lines are drawn finer, so that they stay apart.
CROWDED = 150

Point = tuple[float, float]


def limit_values(axes: Axes, summary: SearchSummary) -> Point:
    """Sets the y axis to where good trials differ; returns its limits.

    Args:
        axes: Panel whose y axis is set.
        summary: The search, with at least one complete trial.
    """
    values = [trial.value for trial in summary.of("complete") if trial.value is not None]
    low, high = focus(values, maximize=summary.maximize)
    axes.set_ylim(low, high)
    return low, high


def mark_trials(axes: Axes, points: Sequence[Point], outcome: str, *, limits: Point) -> None:
    """Draws trials as marks; those beyond the limits as arrows at the edge.

    Args:
        axes: Panel that is drawn on.
        points: For each trial its place along x, and its value.
        outcome: A key of `MARKERS`; the marks' name in a legend.
        limits: Lower and upper end of the y axis, from `limit_values`.
    """
    if not points:
        return
    marker, color = MARKERS[outcome]
    low, high = limits
    inside = [point for point in points if low <= point[1] <= high]
    size = 5 if len(points) > CROWDED else 16
    style: dict[str, Any] = {"color": color, "s": size, "linewidth": 1.0}
    # Also where nothing is inside: the legend then still says what the arrows' colour means.
    x, y = zip(*inside, strict=True) if inside else ((), ())
    axes.scatter(x, y, marker=marker, label=outcome, **style)
    below = [place for place, value in points if value < low]
    above = [place for place, value in points if value > high]
    for arrow, edge, beyond in (("v", low, below), ("^", high, above)):
        if beyond:
            axes.scatter(beyond, [edge] * len(beyond), marker=arrow, clip_on=False, **style)
