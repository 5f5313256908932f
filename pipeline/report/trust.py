"""How far an exported model can be trusted, and what it takes: rows of text for the page."""

from collections.abc import Sequence

from pipeline.evaluation.intervals import Interval
from pipeline.evaluation.record import CorruptionRecord, StudyEvaluation
from pipeline.report.text import DASH, percent, points
from pipeline.trials.exported import ExportRecord

CORRUPTION_NAMES = {
    "noise": "noise of standard deviation 20 of 255",
    "blur": "blurred by 2% of the height",
    "jpeg": "JPEG of quality 20",
    "dark": "half as bright",
    "bright": "one and a half times as bright",
}
METRIC_NAMES = {"accuracy": "accuracy", "log_loss": "log loss", "ece": "calibration error"}

Row = list[str]


def view_trust(found: StudyEvaluation, images_per_second: float) -> dict[str, object]:
    """Returns facts and rows of what was found out beside the metrics.

    Args:
        found: Of one study's model, on the test part.
        images_per_second: Through the model, on the machine that judged it.
    """
    cost, dropout = found.cost, found.dropout
    facts = [
        ("Images a second", f"{images_per_second:,.0f} in {cost.engine} on this machine"),
        ("Model file", f"{cost.megabytes:.1f} MB, {cost.num_parameters:,} weights"),
    ]
    if dropout is not None:
        shown = ", ".join(
            f"{METRIC_NAMES[name]} {_value(name, one)}" for name, one in dropout.metrics.items()
        )
        facts.append((f"Mean of {dropout.num_passes} passes with dropout", shown))
    return dict(
        facts=facts,
        corruptions=[_corruption_row(one) for one in found.corruptions],
        num_corrupted=f"{found.corruptions[0].accuracy.n:,}" if found.corruptions else "",
        abstentions=_abstention_rows(found),
        abstention_columns=[
            *("Left out", "Images", "Accuracy"),
            *(["With dropout"] if dropout is not None else []),
        ],
    )


def _abstention_rows(found: StudyEvaluation) -> list[Row]:
    rows = [
        [f"{100 * one.share:g}%", f"{one.n:,}", percent(one.accuracy, one.n)]
        for one in found.abstentions
    ]
    if found.dropout is None:
        return rows
    others = [percent(one.accuracy, one.n) for one in found.dropout.abstentions]
    return [[*row, other] for row, other in zip(rows, others, strict=True)]


def _value(name: str, metric: Interval) -> str:
    return percent(metric.value, metric.n) if name == "accuracy" else f"{metric.value:.4f}"


def _corruption_row(one: CorruptionRecord) -> Row:
    change, n = one.change, one.change.n
    return [
        CORRUPTION_NAMES.get(one.name, one.name),
        percent(one.accuracy.value, n),
        f"{points(change.value, n)} points",
        f"{points(change.low, n)} to {points(change.high, n)}",
    ]


def export_rows(exported: ExportRecord) -> Sequence[Row]:
    """Returns what was weighed before the export: one network, and an ensemble, side by side."""
    return [
        [
            "one network" if one.num_networks == 1 else f"{one.num_networks} networks",
            *(
                f"{one.metrics[name]:.4f}" if name in one.metrics else DASH
                for name in ("accuracy", "log_loss")
            ),
            f"{one.images_per_second:,.0f}",
            f"{one.megabytes:.1f}",
            f"{one.num_parameters:,}",
        ]
        for one in exported.compared
    ]
