"""The page: one HTML file that needs no other file, no network and no script."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.clock import FURTHER_SECONDS, search_share
from pipeline.evaluation.intervals import Interval, mean_interval, paired_difference
from pipeline.evaluation.record import ComparisonRecord
from pipeline.planning.plan import COLUMNS, Plan, candidate_rows
from pipeline.report.evaluation import MAX_CLASS_ROWS, view_judgement
from pipeline.report.health import view_health
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.search import view_search
from pipeline.report.summary import summarize_search
from pipeline.report.text import (
    capitalized,
    mean_and_deviation,
    objective_value,
    percent,
    points,
)
from pipeline.report.trust import export_rows, view_trust
from pipeline.split_record import SplitRecord
from pipeline.trials.exported import ExportRecord
from pipeline.trials.outlook import outlook
from pipeline.trials.ranking import num_finished
from pipeline.trials.registration import RegistrationRecord

TEMPLATE = "page.html.jinja"
STYLE_SHEET = "page.css"
_PARTS = ("train", "val", "confirmation", "test")
_REGISTERED = {
    "registered_model": "Registered model",
    "version": "Version",
    "study": "Study",
    "weights_sha256": "SHA-256 of all its weights",
}


def render(results: Results) -> str:
    """Returns the report as one HTML document; equal results give equal text.

    Every name that comes from the data (a class is named after a folder) is escaped.

    Args:
        results: All results, of one study at least.
    """
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Our own file: escaped, its `>` selectors would be lost.
    style_sheet = Markup((folder / STYLE_SHEET).read_text(encoding="utf-8"))
    return environment.get_template(TEMPLATE).render(
        style_sheet=style_sheet,
        dataset=results.split.dataset,
        sentences=verdict(results),
        comparisons=[_comparison_row(one) for one in results.comparisons],
        studies=[view_study(study, results) for study in results.studies],
        plans=view_plan(results.plan),
        plan_columns=COLUMNS,
        data=_data(results.split),
        registered=_registered(results.registration),
        again=_again(results),
        data_hashes=results.split.sha256,
    )


def _comparison_row(one: ComparisonRecord) -> list[str]:
    n = one.difference.n
    return [
        f"{one.first} and {one.second}",
        f"{points(one.difference.value, n)} points",
        f"{points(one.difference.low, n)} to {points(one.difference.high, n)}",
        f"{one.only_first:,}",
        f"{one.only_second:,}",
        f"{one.p_value:.2g}",
    ]


def _data(split: SplitRecord) -> dict[str, Any]:
    """Returns the counts of images, by class where the classes are not too many."""
    counts, names = split.counts, split.class_names
    rows = [
        [name, *[f"{counts[part].per_class[index]:,}" for part in _PARTS]]
        for index, name in enumerate(names)
    ]
    shape = " x ".join(str(side) for side in split.image_shape)
    return {
        "parts": _PARTS,
        "rows": rows if len(rows) <= MAX_CLASS_ROWS else [],
        "totals": [f"{counts[part].images:,}" for part in _PARTS],
        "num_classes": len(names),
        "image_shape": shape,
        "duplicates": [
            (key.replace("_", " "), f"{count:,}") for key, count in split.duplicates.items()
        ],
    }


def _registered(registration: RegistrationRecord | None) -> list[tuple[str, str]]:
    if registration is None:
        return []
    pairs = [(label, str(getattr(registration, key))) for key, label in _REGISTERED.items()]
    answer = "yes" if registration.champion else "no"
    return [*pairs, ("Champion", f"{answer}: {registration.reason}")]


def _again(results: Results) -> dict[str, Any]:
    """Returns what the commands at the page's end name."""
    first, budget_seconds = results.studies[0], results.studies[0].search.budget_seconds
    more = (
        f"search.trials={2 * (first.search.target or num_finished(first.search.trials))}"
        if budget_seconds is None
        else f"budget={2 * budget_seconds:.0f}s"
    )
    return {
        "more": more,
        "model_file": first.confirm.exported.file,
        "model_address": _model_address(results.registration),
    }


def _model_address(registration: RegistrationRecord | None) -> str:
    """Returns where MLflow finds the registered version; empty if nothing is registered."""
    if registration is None:
        return ""
    place = "@champion" if registration.champion else f"/{registration.version}"
    return f"models:/{registration.registered_model}{place}"


def view_study(study: StudyResults, results: Results) -> dict[str, object]:
    """Returns a study as the page shows it."""
    return dict(
        name=study.name,
        base=study.confirm.base,
        search=view_search(study),
        health=view_health(study.search),
        judgement=view_judgement(study, results),
        exported=export_rows(study.confirm.exported),
        export_reason=capitalized(study.confirm.exported.reason),
        trust=view_trust(study.evaluation, study.images_per_second),
        lineage=_lineage(study),
    )


def view_plan(plan: Plan | None) -> list[dict[str, object]]:
    """Returns what was planned for each base that was left open, and why.

    Args:
        plan: None where a checkout was run before there were plans.
    """
    if plan is None:
        return []
    return [
        dict(
            name=name,
            reason=plan.reasons[name],
            chosen=[(key, _text(value)) for key, value in chosen.items()],
            candidates=candidate_rows(plan.explained[name]),
        )
        for name, chosen in plan.bases.items()
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _lineage(study: StudyResults) -> list[tuple[str, str]]:
    exported = study.confirm.exported
    members = ", ".join(f"trial {one.number} seed {one.seed}" for one in exported.members)
    return [
        ("Optuna study", study.search.study_name),
        ("Identity", study.search.identity),
        ("Model file", exported.file),
        ("SHA-256 of its weights", exported.weights_sha256),
        ("Exported", f"{exported.rule}: {members}"),
    ]


# As many as the default of `evaluate.bootstrap`.
NUM_RESAMPLES = 1_000
SEED = 0


def verdict(results: Results) -> list[str]:
    """Returns what was found, sentence by sentence.

    First the first study against each other one on the test images, then how it was chosen, then
    what more time is expected to bring.

    Args:
        results: All results; the first study is what the others are compared with.
    """
    first, *others = results.studies
    found = [_compared(first, other, results) for other in others] or [_alone(first)]
    return [*found, _choice(first), *_further(first, results)]


def _alone(study: StudyResults) -> str:
    accuracy = study.metrics["accuracy"]
    n = accuracy.n
    return (
        f"{capitalized(study.name)} classifies {percent(accuracy.value, n)} of the test images "
        f"correctly (n = {n:,}, 95% interval {points(accuracy.low, n)} to "
        f"{percent(accuracy.high, n)})."
    )


def _compared(first: StudyResults, other: StudyResults, results: Results) -> str:
    difference = paired_difference(
        "accuracy",
        first.probabilities,
        other.probabilities,
        results.labels,
        num_resamples=NUM_RESAMPLES,
        seed=SEED,
    )
    n = difference.n
    a, b = (percent(study.metrics["accuracy"].value, n) for study in (first, other))
    figures = f"{a} against {b} of the test images are right, n = {n:,}"
    name = capitalized(first.name)
    if difference.low <= 0 <= difference.high:
        return (
            f"{name} and {other.name} cannot be told apart: {figures}; the 95% interval of the "
            f"paired difference, {_span(difference)}, includes 0."
        )
    verb = "beats" if difference.value > 0 else "loses to"
    return (
        f"{name} {verb} {other.name} by {points(abs(difference.value), n)} points: {figures}; "
        f"95% interval of the paired difference {_span(difference)}."
    )


def _choice(study: StudyResults) -> str:
    summary = summarize_search(study.search)
    winner = study.confirm.winner
    spread = mean_interval(winner.values)
    runs = "one training" if spread.n == 1 else f"{spread.n} trainings"
    return (
        f"{capitalized(study.name)} is trial {winner.number} of its search, where it had "
        f"{objective_value(winner.search_value, summary)} {summary.objective_name}; on the "
        f"confirmation part, which no search has seen, it has "
        f"{mean_and_deviation(spread.mean, spread.std, summary)} over {runs}. "
        f"{_exported(study.confirm.exported)}The test part was read after that and "
        "decided nothing."
    )


def _further(study: StudyResults, results: Results) -> list[str]:
    """Says what more time would go to; nothing where no time decides what is searched."""
    search = study.search
    if search.budget_seconds is None:
        return []
    bases = {one.name: one.confirm.base for one in results.studies}
    seconds = FURTHER_SECONDS * search_share(study.name, bases)
    found = outlook(search.trials, search.direction, seconds=seconds)
    if found is None:
        return []
    summary = summarize_search(search)
    gain = f"{100 * found.gain:.2f} points" if summary.is_share else f"{found.gain:.4f}"
    return [
        f"With {FURTHER_SECONDS / 60:.0f} minutes more of budget {study.name} would try "
        f"{found.sentence(summary.objective_name, gain)}, and the best would be trained with "
        "further seeds."
    ]


def _exported(exported: ExportRecord) -> str:
    members = exported.members
    if len(members) == 1:
        return ""
    numbers = sorted({member.number for member in members})
    trials = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    return f"The exported model averages {len(members)} trainings of {trials}. "


def _span(difference: Interval) -> str:
    low, high = (points(end, difference.n) for end in (difference.low, difference.high))
    return f"{low} to {high} points"
