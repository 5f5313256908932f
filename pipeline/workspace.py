"""The checkout: whose stores are used, and the markers that its stages leave.

The checkout whose stores are used is not always the one that runs: see `store_root`.

A stamp, `mlruns/stages/NAME.json`, is a small out that DVC tracks and does not keep. It goes where
the databases go: lost with them, it makes the stage run again, which then restores instead of
training. It holds a part of the stage's own record and neither ids nor times, so that `restore`
writes it as the stage did, byte for byte.
"""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pipeline.files import write_json

# DVC 3.67, repo/experiments/queue/tempdir.py and executor/local.py: `dvc exp run --temp` makes its
# copy in .dvc/tmp/exps/standalone/tmpXXXX, `--queue` in .dvc/tmp/exps/tmpXXXX.
COPIES = (".dvc", "tmp", "exps")

Stage = Literal["search", "confirm", "register"]
FOLDER = Path("mlruns/stages")
# Confirmation trainings that are over: a folder for each study, three files for each training.
TRAININGS = Path("mlruns/trainings")
REGISTRATION_FILE: Final = Path("results/registration.json")


def store_root(root: Path) -> Path:
    """Returns the checkout that holds the databases, their artifacts and their locks.

    `dvc exp run --queue` and `--temp` run the stages in a copy of the repository, which is deleted
    afterwards. What the stages put out stays there and DVC carries it over; what they record must
    be in the stores of the checkout that was copied.

    Args:
        root: The repository that a stage runs in.
    """
    root = root.resolve()
    for folder in root.parents:
        if folder.parts[-len(COPIES) :] == COPIES:
            return folder.parents[len(COPIES) - 1]
    return root


def checkout_name(root: Path) -> str:
    """Returns what tells a checkout from every other that may use the same databases.

    Args:
        root: The repository; a copy made by `dvc exp run --temp` has the name of its original.
    """
    return f"{platform.node()}:{store_root(root)}"


def study_file(root: Path, name: str) -> Path:
    """Returns where `search` writes the record of the study `name` of params.yaml."""
    return root / "results" / name / "study.json"


def confirmation_file(root: Path, name: str) -> Path:
    """Returns where `confirm` writes what it found out about the study `name` of params.yaml."""
    return root / "results" / name / "confirm.json"


def confirmed_answers_file(root: Path, name: str) -> Path:
    """Returns where `confirm` writes what the winner's trainings answer on the confirmation part.

    It holds their probabilities, float32, shape (num_seeds, n, num_classes).
    """
    return root / "results" / name / "answers.npy"


def diagnosis_file(root: Path, name: str) -> Path:
    """Returns where `diagnose` writes what limits the winner of the study `name` of params.yaml.

    All studies' lie in one folder, so that `report` can depend on it whatever studies there are.
    """
    return root / "results" / "diagnosis" / f"{name}.json"


def stamp_file(root: Path, stage: Stage, study: str = "") -> Path:
    """Returns where a stage's stamp is.

    Args:
        root: The working directory that DVC runs the stage in.
        stage: Name of the stage.
        study: Its study's name, where each study has a stage of its own.
    """
    return root / FOLDER / f"{'-'.join(part for part in (stage, study) if part)}.json"


def write_stamp(
    root: Path, stage: Stage, content: Mapping[str, str | int | None], *, study: str = ""
) -> None:
    """Writes a stage's stamp: the last thing that it does.

    Args:
        root: As for `stamp_file`.
        stage: As for `stamp_file`.
        content: What it is to hold: `stamp` of the record that the stage wrote.
        study: As for `stamp_file`.
    """
    write_json(stamp_file(root, stage, study), content)
