"""The page: one HTML file that needs no other file and no network; scripts add views, not facts."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.evaluation.record import ComparisonRecord
from pipeline.planning.plan import COLUMNS, Plan, candidate_rows
from pipeline.report.answer import answers, more
from pipeline.report.diagnosis import view_diagnosis
from pipeline.report.evaluation import MAX_CLASS_ROWS, view_judgement
from pipeline.report.explorer import view_trials
from pipeline.report.health import view_health
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.review import view_review
from pipeline.report.scripts import policy, read_scripts
from pipeline.report.search import view_search
from pipeline.report.text import capitalized, points
from pipeline.report.timing import TIME_COLUMNS, time_rows
from pipeline.report.trust import export_rows, view_trust
from pipeline.split_record import SplitRecord
from pipeline.trials.registration import RegistrationRecord

TEMPLATE = "page.html.jinja"
STYLE_SHEET = "page.css"
# By the anchor of each section its title in the list of contents.
CONTENTS = {
    "plan": "Plan and time",
    "search": "The search",
    "winner": "The winner",
    "evidence": "The evidence",
    "health": "Health",
    "data": "Data",
    "review": "What may be wrong with it",
    "lineage": "Lineage",
    "use": "Use it, run it again",
}
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
    scripts = read_scripts()
    return environment.get_template(TEMPLATE).render(
        style_sheet=style_sheet,
        scripts=scripts,
        policy=Markup(policy(scripts)),
        trials=view_trials(results),
        dataset=results.split.dataset,
        answers=answers(results),
        contents=[pair for pair in CONTENTS.items() if pair[0] != "review" or results.review],
        comparisons=[_comparison_row(one) for one in results.comparisons],
        studies=[view_study(study, results) for study in results.studies],
        plans=view_plan(results.plan),
        plan_columns=COLUMNS,
        times=time_rows(results.studies),
        time_columns=TIME_COLUMNS,
        data=_data(results.split),
        review=view_review(results.review, results.class_names),
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
    beside = [("Baseline", registration.baseline.told)] if registration.baseline else []
    return [*pairs, *beside, ("Champion", f"{answer}: {registration.reason}")]


def _again(results: Results) -> dict[str, Any]:
    """Returns what the commands at the page's end name."""
    first = results.studies[0]
    return {
        "more": more(first),
        "model_file": first.confirm.exported.file,
        "model_address": _model_address(results.registration),
        "model_option": _model_option(results),
    }


def _model_option(results: Results) -> str:
    """Returns what `predict` needs beside the images: nothing where the model is the champion."""
    registration = results.registration
    if registration is not None and registration.champion:
        return ""
    address = _model_address(registration)
    return f" --model {address or results.studies[0].confirm.exported.file}"


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
        diagnosis=view_diagnosis(study.name, study.diagnosis),
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
