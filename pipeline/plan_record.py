"""How long a whole training is, for those that train: what the stage `plan` wrote of it."""

from pathlib import Path
from typing import Final

from pipeline.files import read_json

PLAN_FILE: Final = Path("results/plan.json")


def planned_epochs(file: Path, base: str) -> int | None:
    """Returns the most epochs of a whole training on a base; None where no plan says anything.

    Args:
        file: The plan, if there is one.
        base: A name under `embed.bases`, or `none`.
    """
    return read_json(file).get("epochs", {}).get(base) if file.is_file() else None
