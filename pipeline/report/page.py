"""The page: one HTML file that needs no other file, no network and no script."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.planning.plan import COLUMNS
from pipeline.report.evaluation import MAX_CLASS_ROWS
from pipeline.report.inputs import Results
from pipeline.report.plan_view import view_plan
from pipeline.report.verdict import verdict
from pipeline.report.views import view_study

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
        dataset=results.split["dataset"],
        sentences=verdict(results),
        studies=[view_study(study, results) for study in results.studies],
        plans=view_plan(results.plan),
        plan_columns=COLUMNS,
        data=_data(results.split),
        registered=_registered(results.registration),
        again=_again(results),
        data_hashes=results.split["sha256"],
    )


def _data(split: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the counts of images, by class where the classes are not too many."""
    counts, names = split["counts"], split["class_names"]
    rows = [
        [name, *[f"{counts[part]['per_class'][index]:,}" for part in _PARTS]]
        for index, name in enumerate(names)
    ]
    shape = " x ".join(str(side) for side in split["image_shape"])
    return {
        "parts": _PARTS,
        "rows": rows if len(rows) <= MAX_CLASS_ROWS else [],
        "totals": [f"{counts[part]['images']:,}" for part in _PARTS],
        "num_classes": len(names),
        "image_shape": shape,
        "duplicates": [
            (key.replace("_", " "), f"{count:,}") for key, count in split["duplicates"].items()
        ],
    }


def _registered(registration: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if registration is None:
        return []
    pairs = [(label, str(registration[key])) for key, label in _REGISTERED.items()]
    answer = "yes" if registration["champion"] else "no"
    return [*pairs, ("Champion", f"{answer}: {registration['reason']}")]


def _again(results: Results) -> dict[str, Any]:
    """Returns what the commands at the page's end name."""
    first = results.studies[0]
    return {
        "trials": 2 * first.search["target"],
        "model_file": first.confirm["exported"]["file"],
        "model_address": _model_address(results.registration),
    }


def _model_address(registration: Mapping[str, Any] | None) -> str:
    """Returns where MLflow finds the registered version; empty if nothing is registered."""
    if registration is None:
        return ""
    place = "@champion" if registration["champion"] else f"/{registration['version']}"
    return f"models:/{registration['registered_model']}{place}"
