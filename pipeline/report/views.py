"""One study as the page shows it."""

from dataclasses import dataclass

from pipeline.report.evaluation import JudgementView, view_judgement
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.search import SearchView, view_search


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """All that the page shows of a study.

    Attributes:
        name: Its key in `params.yaml`.
        base: The base model's name; `none` without one.
        search: How its model was found.
        judgement: How that model does on the test part.
        lineage: Label and text of what identifies it.
    """

    name: str
    base: str
    search: SearchView
    judgement: JudgementView
    lineage: list[tuple[str, str]]


def view_study(study: StudyResults, results: Results) -> StudyView:
    """Returns a study as the page shows it."""
    return StudyView(
        name=study.name,
        base=study.confirm["base"],
        search=view_search(study),
        judgement=view_judgement(study, results),
        lineage=_lineage(study),
    )


def _lineage(study: StudyResults) -> list[tuple[str, str]]:
    exported = study.confirm["exported"]
    members = ", ".join(f"trial {one['number']} seed {one['seed']}" for one in exported["members"])
    return [
        ("Optuna study", study.search["study_name"]),
        ("Identity", study.search["identity"]),
        ("Model file", exported["file"]),
        ("SHA-256 of its weights", exported["weights_sha256"]),
        ("Exported", f"{exported['rule']}: {members}"),
    ]
