"""Stamps: one small file a stage, whose absence tells DVC that the databases lack what it recorded.

`mlruns/stages/NAME.json` is an out that DVC tracks and does not keep. It goes where the databases
go: lost with them, it makes the stage run again, which then restores instead of training. It holds
a part of the stage's own report and neither ids nor times, so that `restore` writes it as the stage
did, byte for byte.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pipeline.data.files import write_json

Stage = Literal["search", "confirm", "register"]

FOLDER = Path("mlruns/stages")
# What a stamp takes of its stage's report: study.json, confirm.json or registration.json.
KEYS: Mapping[Stage, tuple[str, ...]] = {
    "search": ("identity", "target"),
    "confirm": ("identity", "top", "seeds"),
    "register": ("study", "weights_sha256"),
}


def stamp_file(root: Path, stage: Stage, study: str = "") -> Path:
    """Returns where a stage's stamp is.

    Args:
        root: The working directory that DVC runs the stage in.
        stage: A key of `KEYS`.
        study: Its study's name, where each study has a stage of its own.
    """
    return root / FOLDER / f"{'-'.join(part for part in (stage, study) if part)}.json"


def write_stamp(root: Path, stage: Stage, report: Mapping[str, Any], *, study: str = "") -> None:
    """Writes a stage's stamp: the last thing that it does.

    Args:
        root: As for `stamp_file`.
        stage: As for `stamp_file`.
        report: What the stage wrote about itself; must have the stage's `KEYS`.
        study: As for `stamp_file`.
    """
    write_json(stamp_file(root, stage, study), {key: report[key] for key in KEYS[stage]})


def code_sha256(*parts: str) -> str:
    """Returns the SHA-256 of this project's source, 64 hex digits.

    DVC compares a stage's code with that of its last run, but where the stamp is gone the stage
    runs in any case: then this tells whether the outs are of the same code.

    Args:
        parts: Packages and modules, relative to `pipeline/`, such as `training` and `seeds.py`.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for part in parts:
        files = [here / part] if part.endswith(".py") else sorted((here / part).rglob("*.py"))
        for file in files:
            digest.update(file.relative_to(here).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
