"""What the stage `plan` wrote for those that train: how long that is, and how fast a base is."""

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


def planned_views(file: Path, base: str) -> int:
    """Returns how many views of each training image are embedded for a base.

    Args:
        file: The plan, if there is one.
        base: A name under `embed.bases`, or `none`.
    """
    return read_json(file).get("views", {}).get(base, 0) if file.is_file() else 0


def planned_image_seconds(file: Path, base: str) -> float | None:
    """Returns how long a base was seen to take for an image; None where no plan says anything.

    Args:
        file: The plan, if there is one.
        base: A name under `embed.bases`, or `none`.
    """
    explained = read_json(file).get("explained", {}) if file.is_file() else {}
    return explained[base]["chosen"]["seconds_per_image"] if base in explained else None
