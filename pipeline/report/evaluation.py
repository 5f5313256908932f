"""The test part as the page shows it: figures, tables as rows of text, and mistakes."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from pipeline.evaluation.classes import ClassScore, class_scores, most_confused
from pipeline.evaluation.intervals import wilson_interval
from pipeline.evaluation.metrics import CalibrationBin, confusion_counts
from pipeline.report.charts import BLUE, GRAY, chart, mark_powers
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.text import DASH, interval

Row = list[str]
NUM_MISTAKES = 10
# A class each would make a page of tables; the worst are what one looks for.
MAX_CLASS_ROWS = 40

_METRIC_IS_SHARE = {"accuracy": True, "macro_f1": True, "log_loss": False, "ece": False}


def view_judgement(study: StudyResults, results: Results) -> dict[str, object]:
    """Returns how a study's model does on the test part: texts, rows and figures of the page."""
    names = results.class_names
    predicted = study.probabilities.argmax(axis=1)
    counts = confusion_counts(results.labels, predicted, num_classes=len(names))
    scores, scores_note = _scores(class_scores(counts), names)
    return dict(
        metrics={
            name: interval(study.metrics[name], is_share=is_share)
            for name, is_share in _METRIC_IS_SHARE.items()
        },
        n=f"{study.metrics['accuracy'].n:,}",
        confusion=confusion_matrix(f"{study.name}-confusion", counts, names),
        reliability=reliability_diagram(
            f"{study.name}-reliability", study.bins, ece=study.metrics["ece"].value
        ),
        scores=scores,
        scores_note=scores_note,
        mistakes=[
            [names[m.actual], names[m.predicted], f"{m.count:,}", f"{100 * m.share:.1f}%"]
            for m in most_confused(counts, limit=NUM_MISTAKES)
        ],
        pictures=_pictures(study, results),
    )


def _scores(scores: list[ClassScore], names: Sequence[str]) -> tuple[list[Row], str]:
    note = ""
    if len(scores) > MAX_CLASS_ROWS:
        scores = sorted(scores, key=lambda score: (score.f1 is None, score.f1))[:MAX_CLASS_ROWS]
        note = f"The {MAX_CLASS_ROWS} classes of {len(names)} with the lowest F1."
    rows = [
        [names[s.index], f"{s.n:,}", *[_ratio(x) for x in (s.precision, s.recall, s.f1)]]
        for s in scores
    ]
    return rows, note


def _ratio(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def _pictures(study: StudyResults, results: Results) -> list[dict[str, object]]:
    """Returns the images that it was most sure and wrong about, and what it took them for."""
    pictures = []
    for index, image in zip(study.wrong_indices, study.wrong_images, strict=True):
        predicted = int(study.probabilities[index].argmax())
        confidence = float(study.probabilities[index, predicted])
        pictures.append(
            dict(
                address=data_address(image),
                actual=results.class_names[int(results.labels[index])],
                predicted=results.class_names[predicted],
                # Cut, not rounded: 0.99996 is no certainty.
                confidence=f"{int(confidence * 1000) / 10:.1f}%",
                index=int(index),
            )
        )
    return pictures


_RIGHT = "#1f5fa8"
_WRONG = "#b3361b"
# Beyond these, counts and names no longer fit their cells.
_MAX_CLASSES_WITH_COUNTS = 15
_MAX_CLASSES_WITH_NAMES = 40
_MAX_NAME_LENGTH = 18


def confusion_matrix(
    key: str, counts: NDArray[np.integer[Any]], class_names: Sequence[str]
) -> Markup:
    """Draws the confusion matrix: colour by share of the row, numbers as counts.

    Args:
        key: Key of the figure, unique in the page.
        counts: Shape (num_classes, num_classes), rows are labels.
        class_names: Names of the classes, by class id.
    """
    num_classes = len(class_names)
    alt = (
        f"Confusion matrix of {num_classes} classes: {int(counts.trace())} of {int(counts.sum())} "
        "test images on the diagonal. The table of the most frequent mistakes has the others."
    )
    with chart(key, alt=alt, size=(4.7, 4.3)) as drawn:
        axes = drawn.axes[0]
        strengths = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        axes.imshow(_colors(strengths), interpolation="nearest", aspect="auto")
        if num_classes <= _MAX_CLASSES_WITH_COUNTS:
            _write_counts(axes, counts, strengths)
        axes.set(xlabel="predicted", ylabel="actual")
        axes.grid(visible=False)
        _name_classes(axes, class_names)
    return drawn.markup


def reliability_diagram(key: str, bins: Sequence[CalibrationBin], *, ece: float) -> Markup:
    """Draws accuracy over confidence, with Wilson's intervals, above the number of images.

    Args:
        key: Key of the figure, unique in the page.
        bins: With at least one image.
        ece: The expected calibration error, in [0, 1].
    """
    bins = [one for one in bins if one.n]
    alt = (
        f"Accuracy over confidence in {len(bins)} bins; the mean gap to the diagonal, the expected "
        f"calibration error, is {ece:.4f}."
    )
    with chart(key, alt=alt, size=(4.7, 4.3), height_ratios=(3.0, 1.0)) as drawn:
        top, bottom = drawn.axes
        top.plot([0, 1], [0, 1], "--", color=GRAY, lw=1.2, label="perfectly calibrated")
        _draw_accuracy(top, bins)
        top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        drawn.figure.legend(loc="outside lower center", ncols=2)
        _draw_counts(bottom, bins)
        bottom.set_xlabel("confidence (largest probability)")
    return drawn.markup


def _draw_accuracy(axes: Axes, bins: Sequence[CalibrationBin]) -> None:
    bars = [(one.confidence, one.accuracy, one.n) for one in bins]
    intervals = [wilson_interval(round(share * n), n) for _, share, n in bars if share is not None]
    arms = np.array([(i.value - i.low, i.high - i.value) for i in intervals]).T
    axes.errorbar(
        [confidence for confidence, _, _ in bars if confidence is not None],
        [interval.value for interval in intervals],
        # Rounding leaves -1e-17 at the edges, which matplotlib refuses.
        yerr=np.maximum(arms, 0),
        fmt="o-",
        color=BLUE,
        ms=4,
        lw=1.2,
        capsize=2,
        label="test images, 95% interval",
    )


def _draw_counts(axes: Axes, bins: Sequence[CalibrationBin]) -> None:
    axes.bar(
        [one.low for one in bins],
        [one.n for one in bins],
        width=[one.high - one.low for one in bins],
        align="edge",
        color=BLUE,
        edgecolor="none",
        alpha=0.75,
    )
    axes.set(ylabel="images", yscale="log")
    mark_powers(axes.yaxis, low=1, high=10 * max(one.n for one in bins))


def _colors(strengths: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Returns RGBA: blue for right, red for wrong, as opaque as the share's square root."""
    colors = np.empty((*strengths.shape, 4))
    colors[..., :3] = to_rgb(_WRONG)
    diagonal = np.arange(len(strengths))
    colors[diagonal, diagonal, :3] = to_rgb(_RIGHT)
    # The root, since a mistake in one of a hundred images would not show beside the diagonal.
    colors[..., 3] = strengths
    return colors


def _write_counts(
    axes: Axes, counts: NDArray[np.integer[Any]], strengths: NDArray[np.floating[Any]]
) -> None:
    size = 8.0 if len(counts) <= 10 else 6.0
    for (row, column), count in np.ndenumerate(counts):
        if count:
            style: dict[str, Any] = {"color": "white"} if strengths[row, column] > 0.62 else {}
            axes.text(column, row, f"{count}", ha="center", va="center", size=size, **style)


def _name_classes(axes: Axes, class_names: Sequence[str]) -> None:
    places = range(len(class_names))
    if len(class_names) > _MAX_CLASSES_WITH_NAMES:
        axes.tick_params(length=0, labelbottom=False, labelleft=False)
        return
    size = 8.0 if len(class_names) <= _MAX_CLASSES_WITH_COUNTS else 5.0
    names = [_short(name) for name in class_names]
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", size=size)
    axes.set_yticks(places, names, size=size)


def _short(name: str) -> str:
    if len(name) <= _MAX_NAME_LENGTH:
        return name
    return f"{name[: _MAX_NAME_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"


# Pixels of the longer side: sharp at the size of a thumbnail on a dense screen.
MAX_SIDE = 128


def data_address(image: NDArray[np.integer[Any]]) -> str:
    """Returns an image as a `data:` address of a PNG; the same bytes for the same image.

    Args:
        image: uint8, shape (height, width), (height, width, 1) or (height, width, 3); larger
            ones are scaled down to `MAX_SIDE`, smaller ones stay as they are.
    """
    pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
