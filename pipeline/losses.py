"""What the databases have lost of what `results/` tells of, and how to say it.

Whoever notices a loss also removes the stamps of what is gone, so that `dvc repro` notices too.
"""

from pathlib import Path

from pipeline.files import read_json
from pipeline.workspace import FOLDER, stamp_file

RESTORE = "`python -m pipeline restore` brings that back"


def lost_study(root: Path, name: str, study_name: str) -> str | None:
    """Returns what to say of a study that its store does not hold; None if it never ran here.

    Args:
        root: The repository.
        name: Of the study, below `studies` in params.yaml.
        study_name: As Optuna calls it; an export of another one, of other data, tells nothing.
    """
    file = root / "results" / name / "study.json"
    if not file.is_file() or read_json(file).get("study_name") != study_name:
        return None
    stamp_file(root, "search", name).unlink(missing_ok=True)
    return f"the study is lost, but results/{name}/study.json is there: {RESTORE}"


def lost_runs(root: Path, what: str) -> str | None:
    """Returns what to say of runs that the tracking store does not hold; None if there were none.

    Args:
        root: The repository.
        what: What is missing, such as a file.
    """
    reports = [root / "results/registration.json", *(root / "results").glob("*/study.json")]
    if not any(file.is_file() for file in reports):
        return None
    for stamp in (root / FOLDER).glob("*.json"):
        stamp.unlink(missing_ok=True)
    return f"its runs and registered models are lost, since there is no {what}: {RESTORE}"
