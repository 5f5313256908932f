"""A diagnosis in words: what limits a winner, whether to gather more data, and what to try next.

The order is the lectures': first the fit to the training images, then the gap to new ones, and only
then more data (also Goodfellow, Bengio and Courville 2016, "Deep Learning", section 11.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.trials.diagnosis import (
    QUARTER,
    WORTHWHILE,
    DiagnosisRecord,
    RangeRecord,
)

ERRORS: Final = {
    "val_accuracy": "error",
    "val_macro_f1": "lack of macro F1",
    "val_log_loss": "log loss",
}
MOST_BOUNDS: Final = 3
FEWEST_SIZES: Final = 3
"""Of a learning curve, from which `studies.learning_curve` says something."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What a diagnosis comes to.

    Attributes:
        limits: What limits the winner, a sentence.
        more_data: Whether to gather more data, and how much, a sentence.
        next_step: What to try next, a sentence or two.
    """

    limits: str
    more_data: str
    next_step: str


def advice_of(record: DiagnosisRecord) -> Advice:
    """Returns what a diagnosis comes to."""
    return Advice(limits=limits(record), more_data=more_data(record), next_step=next_step(record))


def shown(record: DiagnosisRecord, error: float | None) -> str:
    """Returns an error, or a difference of errors, as text; of shares in percent."""
    if error is None:
        return "unknown"
    if not record.is_share:
        return f"{error:.4f}"
    return f"{100 * error:.{1 if error >= 0.01 else 2}f}%"


def limits(record: DiagnosisRecord) -> str:
    """Says what limits the winner."""
    known, new = record.train_error, shown(record, record.error)
    name = ERRORS[record.objective]
    if not record.error:
        return f"Nothing shows what limits it: it makes no mistake on {_judged(record)}."
    span = f", 95% interval {_span(record, record)}" if record.low is not None else ""
    on_new = f"{new} on new ones ({record.part} part, n = {record.n:,}{span})"
    if known is None:
        return f"Its {name} is {on_new}; on the training images it was not measured."
    lowest, highest = known
    on_known = (
        f"{shown(record, lowest)}"
        if lowest == highest
        else f"{shown(record, lowest)} to {shown(record, highest)}"
    )
    figures = f"its {name} is {on_known} on training images and {on_new}"
    if record.limit == "gap":
        return f"It is limited by what it makes of new images, not by its fit: {figures}."
    if record.limit == "fit":
        return f"It is limited by its fit: {figures}."
    return f"Whether its fit limits it, or the gap to new images, is not clear: {figures}."


def more_data(record: DiagnosisRecord) -> str:
    """Answers whether to gather more data, and how much, in a sentence."""
    found = record.more_data
    if found is None:
        return f"Whether more data would help was not measured: {_not_measured(record)}."
    expected = (
        f"with twice the {record.num_images:,} training images the {ERRORS[record.objective]} is "
        f"expected to go from {shown(record, found.error.value)} to "
        f"{shown(record, found.doubled.value)} (95% interval {_span(record, found.doubled)})"
    )
    wrong = (
        " Fewer images did not foretell what all of them reached: do not rely on it."
        if found.was_right is False
        else ""
    )
    needed = _needed(record, found.needed)
    if found.answer == "yes" and record.limit == "fit":
        return f"Yes, gather more data once it fits those it has: {expected}; {needed}.{wrong}"
    if found.answer == "yes":
        return f"Yes, gather more data: {expected}; {needed}.{wrong}"
    if found.answer == "no":
        return (
            f"No, more data of the same kind are not worth much: {expected}, not "
            f"{100 * WORTHWHILE:.0f}% less; {needed}.{wrong}"
        )
    return f"It is not clear whether more data are worth gathering: {expected}; {needed}.{wrong}"


def _not_measured(record: DiagnosisRecord) -> str:
    if record.seconds is None:
        return "diagnose.time is none"
    if record.num_sizes < FEWEST_SIZES:
        return "its classes have too few images to train on fewer"
    if len(record.sizes) >= FEWEST_SIZES:
        return f"with some of the sizes it makes no mistake on {_judged(record)}"
    return (
        f"the {record.seconds:.0f} s of diagnose.time were too short for trainings on fewer images"
    )


def _judged(record: DiagnosisRecord) -> str:
    return f"the {record.n:,} images of the {record.part} part"


def _span(record: DiagnosisRecord, one: RangeRecord | DiagnosisRecord) -> str:
    return f"{shown(record, one.low)} to {shown(record, one.high)}"


def _needed(record: DiagnosisRecord, needed: RangeRecord) -> str:
    what = f"a {'quarter' if QUARTER == 0.25 else f'{QUARTER:.0%}'} less takes"
    if needed.value is None:
        return f"{what} more than ten times as many, or cannot be had so"
    high = "more than ten times as many" if needed.high is None else f"{_round(needed.high)}"
    low = _round(needed.low if needed.low is not None else needed.value)
    return f"{what} about {_round(needed.value)} images ({low} to {high})"


def _round(number: float) -> str:
    """Returns a number with two digits that count.

    >>> _round(157035.3)
    '160,000'
    """
    return f"{float(f'{number:.1e}'):,.0f}"


def next_step(record: DiagnosisRecord) -> str:
    """Says what to try next, what is known best first."""
    if not record.error:
        return "Judge it on harder images, or on more of them: here there is nothing to gain."
    steps = [*_better(record), *_by_limit(record), *_bounds(record)]
    return " ".join(steps[:2])


def _better(record: DiagnosisRecord) -> list[str]:
    changes = record.ablation.changes if record.ablation else ()
    better = [one for one in changes if one.verdict == "better"]
    if not better or record.ablation is None:
        return []
    best = max(better, key=lambda one: one.effect or 0.0)
    whole = (
        "" if record.ablation.share == 1 else f", by 1/{1 / record.ablation.share:.0f} trainings"
    )
    return [
        f"Try {best.name} = {_value(best.value)} instead of {_value(best.chosen)}: alone it is "
        f"better by {_points(record, best.effect)} ({_points(record, best.low)} to "
        f"{_points(record, best.high)}{whole})."
    ]


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _points(record: DiagnosisRecord, effect: float | None) -> str:
    """Returns a difference of errors; of shares in points, of which 1 is 1% of the images."""
    if effect is None:
        return "unknown"
    return f"{100 * effect:.2f} points" if record.is_share else f"{effect:.4f}"


def _by_limit(record: DiagnosisRecord) -> list[str]:
    if record.limit == "fit":
        return [
            "Let it fit more first: more units or layers, more epochs, less dropout, a lower cut "
            "of the base, another learning rate; if that does not help, look for wrong labels."
        ]
    answer = record.more_data.answer if record.more_data else "unclear"
    if record.limit == "unclear":
        return ["Give it a longer search, and diagnose.time more time, to tell fit from gap."]
    if answer == "yes":
        return ["Regularize first (dropout, views of the images), then gather more images."]
    if answer == "no":
        return [
            "Regularize more, or let the plan take a larger base or larger images: more images of "
            "the same kind would not do it, so look at those that it confuses, and at their labels."
        ]
    return [
        "Regularize more first (dropout, views of the images); give diagnose.time more time to "
        "tell what more images would bring."
    ]


def _bounds(record: DiagnosisRecord) -> list[str]:
    if not record.bounds:
        return []
    ends = [
        f"{one.name} {'below' if one.side == 'low' else 'beyond'} {one.bound:g} (it has "
        f"{one.value:.3g})"
        for one in record.bounds[:MOST_BOUNDS]
    ]
    return [f"Search {', '.join(ends)}: there the winner lies at the end of the space."]
