"""What the databases have lost of what `results/` tells of, and how to say it.

Whoever notices a loss also removes the stamps of what is gone, so that `dvc repro` notices too.
"""

from pathlib import Path

from pipeline.workspace import FOLDER, REGISTRATION_FILE, study_file

RESTORE = "`python -m pipeline restore` brings that back"


def lost_runs(root: Path, what: str) -> str | None:
    """Returns what to say of runs that the tracking store does not hold; None if there were none.

    Args:
        root: The repository.
        what: What is missing, such as a file.
    """
    reports = [root / REGISTRATION_FILE, *root.glob(str(study_file(Path(), "*")))]
    if not any(file.is_file() for file in reports):
        return None
    for stamp in (root / FOLDER).glob("*.json"):
        stamp.unlink(missing_ok=True)
    return f"its runs and registered models are lost, since there is no {what}: {RESTORE}"
