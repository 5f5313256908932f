"""The diagnosis of a study's winner as the page shows it: sentences, rows of text, one figure."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import NullLocator

from pipeline.report.charts import BLUE, GRAY, INK, ORANGE, chart
from pipeline.report.text import DASH, hyperparameter
from pipeline.trials.advice import ERRORS, advice_of, shown
from pipeline.trials.diagnosis import DiagnosisRecord
from pipeline.trials.effects import AblationRecord, ImportancesRecord

Row = list[str]
IMPORTANCE_COLUMNS = ("Hyperparameter", "Importance", "By chance up to", "Trials", "Says")
ABLATION_COLUMNS = ("Hyperparameter", "Winner", "Changed to", "From", "Effect", "Interval", "Says")


def view_diagnosis(key: str, record: DiagnosisRecord | None) -> dict[str, object] | None:
    """Returns what the page shows of a diagnosis.

    Args:
        key: Begins the key of its figure; unique in the page.
        record: None where none was made.
    """
    if record is None:
        return None
    advice = advice_of(record)
    return dict(
        sentences=[advice.limits, advice.more_data, advice.next_step],
        steps=_steps(record),
        curve=_curve(key, record) if len(record.sizes) > 1 else None,
        check=_check(record),
        importance_columns=IMPORTANCE_COLUMNS,
        importances=_importance_rows(record.importances),
        importance_note=_importance_note(record.importances),
        ablation_columns=ABLATION_COLUMNS,
        ablation=_ablation_rows(record),
        ablation_note=_ablation_note(record.ablation, is_share=record.is_share),
        notes=_notes(record),
    )


def _steps(record: DiagnosisRecord) -> list[tuple[str, str]]:
    """Returns the lectures' questions, in their order, each with its figures."""
    known, more = record.train_error, record.more_data
    fit = (
        DASH
        if known is None
        else f"{shown(record, known[0])} to {shown(record, known[1])}"
        if known[0] != known[1]
        else shown(record, known[0])
    )
    answers = {"fit": "no", "gap": "yes", "unclear": "unclear"}
    gap = DASH
    if known is not None:
        gap = f"{shown(record, max(0.0, record.error - known[1]))} or more"
    span = (
        f", 95% interval {shown(record, record.low)} to {shown(record, record.high)}"
        if record.low is not None
        else ""
    )
    name = ERRORS[record.objective]
    return [
        (
            f"1. Is the fit to the training images good enough ({name} below half of that on new "
            "images)?",
            f"{answers[record.limit]}: {fit} on training images",
        ),
        (
            "2. Is the gap to new images small?",
            f"{'no' if record.limit == 'gap' else 'see 1'}: {gap}; {name} "
            f"{shown(record, record.error)} on the {record.part} part (n = {record.n:,}{span})",
        ),
        (
            "3. Would more data help?",
            DASH
            if more is None
            else f"{more.answer}: {100 * (more.gain.value or 0):.1f}% less by twice the images "
            f"({100 * (more.gain.low or 0):.1f}% to {100 * (more.gain.high or 0):.1f}%)",
        ),
    ]


def _check(record: DiagnosisRecord) -> str:
    """Says whether all sizes but the largest foretold what that reached."""
    more = record.more_data
    if more is None or more.foretold is None:
        return ""
    told, fewer = more.foretold, record.sizes[-2].num_images
    verdict = "as foretold" if more.was_right else "not as foretold"
    return (
        f"Checked: from {fewer:,} images and fewer, {shown(record, told.value)} was foretold for "
        f"{record.num_images:,} ({shown(record, told.low)} to {shown(record, told.high)}); it is "
        f"{shown(record, more.found)}, {verdict}."
    )


def _curve(key: str, record: DiagnosisRecord) -> Markup:
    sizes, more = record.sizes, record.more_data
    scale = 100.0 if record.is_share else 1.0
    name = ERRORS[record.objective]
    alt = f"{name} by the number of training images, and what twice as many are expected to give."
    with chart(f"{key}-curve", alt=alt, size=(5.0, 2.9), num_marks=4 * len(sizes)) as drawn:
        axes = drawn.axes[0]
        for size in sizes:
            errors = scale * np.array(size.errors)
            axes.plot([size.num_images] * len(errors), errors, "o", color=BLUE, ms=4)
            if size.train_errors:
                fitted = scale * np.array(size.train_errors)
                axes.plot([size.num_images] * len(fitted), fitted, "x", color=GRAY, ms=4)
        means = [scale * size.mean for size in sizes]
        counts = [size.num_images for size in sizes]
        axes.plot(counts, means, color=BLUE, lw=1.2, label=f"{record.part} part")
        axes.plot([], [], "x", color=GRAY, ms=4, label="images it learned from")
        if more is not None:
            doubled, twice = more.doubled, 2 * record.num_images
            value, low, high = (
                scale * (v or 0.0) for v in (doubled.value, doubled.low, doubled.high)
            )
            axes.plot([counts[-1], twice], [means[-1], value], "--", color=ORANGE, lw=1.2)
            axes.errorbar(
                [twice], [value], [[value - low], [high - value]], fmt="s", color=ORANGE, ms=4,
                capsize=3, label="expected of twice as many",
            )  # fmt: skip
            counts.append(twice)
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(counts, [f"{count:,}" for count in counts], rotation=25, ha="right")
        axes.set_xlabel("training images", color=INK)
        axes.set_title(f"{name}{', %' if record.is_share else ''}")
        axes.set_ylim(bottom=0)
        axes.legend()
    return drawn.markup


def _importance_rows(found: ImportancesRecord | None) -> list[Row]:
    if found is None:
        return []
    return [
        [
            one.name,
            f"{100 * one.share:.0f}%",
            f"{100 * one.noise:.0f}%" if one.noise < 1 else "anything",
            f"{one.num_trials}",
            "decided" if one.is_clear else "could be chance",
        ]
        for one in found.found
    ]


def _importance_note(found: ImportancesRecord | None) -> str:
    if found is None:
        return ""
    parts = 1 / found.share
    of_what = "whole trainings" if parts == 1 else f"1/{parts:.0f} trainings"
    worst = f", {found.num_worst} of them pruned or diverged, which count as worst" * bool(
        found.num_worst
    )
    agreement = (
        f" How the next rung orders the {found.num_agreement} that went on agrees by "
        f"{found.agreement:.2f} (Kendall's tau; 1: alike, 0: not at all)."
        if found.agreement is not None
        else ""
    )
    return (
        f"Optuna's conditional PED-ANOVA of {found.num_trials} {of_what}{worst}: how far the "
        f"{found.num_best} best are spread otherwise than all. Where a hyperparameter does not "
        "exist in a trial, the trial takes part as one without it. By chance: what it stays below "
        "when the values are dealt out at random, all hyperparameters together in 95% of cases."
        f"{agreement} No such figure says which of two that a sampler moved together was the cause."
    )


def _ablation_rows(record: DiagnosisRecord) -> list[Row]:
    if record.ablation is None:
        return []
    rows = []
    for one in record.ablation.changes:
        interval = DASH
        if one.low is not None and one.high is not None:
            interval = f"{_difference(record, one.low)} to {_difference(record, one.high)}"
        rows.append(
            [
                one.name,
                hyperparameter(one.chosen),
                hyperparameter(one.value),
                one.source,
                DASH if one.effect is None else _difference(record, one.effect),
                interval,
                one.verdict,
            ]
        )
    return rows


def _difference(record: DiagnosisRecord, value: float) -> str:
    return f"{100 * value:+.2f}" if record.is_share else f"{value:+.4f}"


def _ablation_note(found: AblationRecord | None, *, is_share: bool) -> str:
    if found is None:
        return ""
    parts = 1 / found.share
    of_what = "whole trainings" if parts == 1 else f"1/{parts:.0f} trainings, as the search's rungs"
    left = f" For {found.num_left} more changes there was no time." if found.num_left else ""
    unit = "percentage points of the objective" if is_share else "units of the objective"
    return (
        f"The winner with one change at a time, by {of_what}; {found.num_seeds} seeds, the same "
        f"with and without the change; effects in {unit}, above 0: "
        "better without what the winner has. Intervals are over images and seeds and hold "
        "together in 95% of cases (Bonferroni). The trials of the search cannot say this: its "
        f"sampler moves several hyperparameters together, towards what was good.{left}"
    )


def _notes(record: DiagnosisRecord) -> Sequence[str]:
    notes = []
    if record.num_duplicates:
        notes.append(
            f"{record.num_duplicates} trials were given the result of an equal one: the space is "
            "small, or its sampler sure."
        )
    if record.random is not None:
        one = record.random
        notes.append(
            f"Against chance: the best of {one.count} configurations drawn at random reached "
            f"{one.random:.4f} on the lowest rung, the best of the {one.count} that the sampler "
            f"chose after them {one.sampled:.4f}."
        )
    else:
        notes.append(
            "Against chance: too few configurations of this search were drawn at random to compare "
            "its sampler with them."
        )
    return notes
