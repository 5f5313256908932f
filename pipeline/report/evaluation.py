"""The test part as the page shows it: figures, tables as rows of text, and mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.evaluation.classes import ClassScore, class_scores, most_confused
from pipeline.evaluation.metrics import confusion_counts
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.judgement_figures import confusion_matrix, reliability_diagram
from pipeline.report.pictures import data_address
from pipeline.report.text import DASH, interval

Row = list[str]
NUM_MISTAKES = 10
# A class each would make a page of tables; the worst are what one looks for.
MAX_CLASS_ROWS = 40

_METRIC_IS_SHARE = {"accuracy": True, "macro_f1": True, "log_loss": False, "ece": False}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A misclassified image.

    Attributes:
        address: The image itself, as a `data:` address.
        actual: The label's class name.
        predicted: The class name it was taken for.
        confidence: Its probability, as text.
        index: Place in the test part.
    """

    address: str
    actual: str
    predicted: str
    confidence: str
    index: int


@dataclass(frozen=True, kw_only=True)
class JudgementView:
    """What the page shows of a study's model on the test part; a row has a text per column.

    Attributes:
        metrics: By metric the value and its interval.
        n: Test images.
        confusion: Figure of what is taken for what.
        reliability: Figure of accuracy over confidence.
        scores: Rows of class, n, precision, recall, F1.
        scores_note: What the rows leave out; empty if nothing.
        mistakes: Rows of actual, predicted, count, share.
        pictures: What it was most sure and wrong about.
    """

    metrics: Mapping[str, tuple[str, str]]
    n: str
    confusion: Markup
    reliability: Markup
    scores: list[Row]
    scores_note: str
    mistakes: list[Row]
    pictures: list[Picture]


def view_judgement(study: StudyResults, results: Results) -> JudgementView:
    """Returns how a study's model does on the test part, as the page shows it."""
    names = results.class_names
    predicted = study.probabilities.argmax(axis=1)
    counts = confusion_counts(results.labels, predicted, num_classes=len(names))
    scores, scores_note = _scores(class_scores(counts), names)
    return JudgementView(
        metrics={
            name: interval(study.metrics[name], is_share=is_share)
            for name, is_share in _METRIC_IS_SHARE.items()
        },
        n=f"{study.metrics['accuracy']['n']:,}",
        confusion=confusion_matrix(f"{study.name}-confusion", counts, names),
        reliability=reliability_diagram(f"{study.name}-reliability", study.calibration),
        scores=scores,
        scores_note=scores_note,
        mistakes=[
            [names[m.actual], names[m.predicted], f"{m.count:,}", f"{100 * m.share:.1f}%"]
            for m in most_confused(counts, limit=NUM_MISTAKES)
        ],
        pictures=_pictures(study, results),
    )


def _scores(scores: list[ClassScore], names: list[str]) -> tuple[list[Row], str]:
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


def _pictures(study: StudyResults, results: Results) -> list[Picture]:
    pictures = []
    for index, image in zip(study.wrong_indices, study.wrong_images, strict=True):
        predicted = int(study.probabilities[index].argmax())
        confidence = float(study.probabilities[index, predicted])
        pictures.append(
            Picture(
                address=data_address(image),
                actual=results.class_names[int(results.labels[index])],
                predicted=results.class_names[predicted],
                # Cut, not rounded: 0.99996 is no certainty.
                confidence=f"{int(confidence * 1000) / 10:.1f}%",
                index=int(index),
            )
        )
    return pictures
