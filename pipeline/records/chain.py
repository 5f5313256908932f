"""The chain of hashes from the raw images to a model file: recorded, and computed again.

What a model came from lies in files of the checkout, each made from those before. `register` writes
the SHA-256 of all of them down, so that it can be told later whether what is on disk is what the
model was made of, and which link is the first that is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config import PARAMS_FILE, read_document
from pipeline.errors import DataIntegrityError
from pipeline.features.manifest import read_manifest
from pipeline.files import sha256_file
from pipeline.split_record import SPLIT_FILE
from pipeline.trials.identity import TRAINING_CODE, code_sha256
from pipeline.workspace import confirmation_file, study_file

LINKS: Final = ("raw", "split", "features", "params", "code", "study", "confirmation", "model")
SECTIONS: Final = ("fetch", "split", "budget", "plan", "embed", "search", "defaults", "confirm")
"""Of `params.yaml`: what a model depends on, beside its study."""
CODE: Final = "the code of a training"
"""Stands for many files, whose hash is one."""
CHAIN_FILE: Final = "lineage.json"
"""Beside the file of a registered model: its chain."""
CHAIN_SHA256: Final = "lineage_sha256"
"""Tag of its version: what that file is."""

Chain = Mapping[str, Mapping[str, str]]
"""By link, in the order of `LINKS`, the SHA-256 of each of its files."""


@dataclass(frozen=True, kw_only=True)
class CheckedLink:
    """A link that was computed again.

    Attributes:
        name: One of `LINKS`.
        num_files: How many files it has.
        problem: What the first file that is not as it was is now; empty if all are.
    """

    name: str
    num_files: int
    problem: str


def chain_of(root: Path, *, study: str, base: str) -> Chain:
    """Returns the chain that a study's exported model ends.

    Args:
        root: The repository.
        study: The study's name.
        base: Its base's.

    Raises:
        DataIntegrityError: If a file is missing.
        ConfigError: If `params.yaml` cannot be read.
    """
    names: Mapping[str, Sequence[str]] = {
        "raw": _below(root, "data/raw"),
        # What the test part was is in the second; nobody but `evaluate` opens its file.
        "split": ["data/train.npz", SPLIT_FILE.as_posix()],
        "features": _below(root, f"data/features/{base}"),
        "params": [PARAMS_FILE.name],
        "code": [CODE],
        "study": [study_file(root, study).relative_to(root).as_posix()],
        "confirmation": [confirmation_file(root, study).relative_to(root).as_posix()],
        "model": [f"models/{study}.keras"],
    }
    return {link: {name: _existing(root, name, study) for name in names[link]} for link in LINKS}


def check_features(root: Path, chain: Chain, *, base: str) -> None:
    """Refuses arrays that are not what `embed` wrote, as on a disk that is damaged.

    Nobody else reads all of them: a search maps the file, and a changed byte is a number too.

    Args:
        root: The repository.
        chain: As from `chain_of`.
        base: The base that its features are of.

    Raises:
        DataIntegrityError: If an array has another SHA-256 than its manifest says.
    """
    folder = f"data/features/{base}"
    for cut in read_manifest(root / folder).cuts.values():
        name = f"{folder}/{cut.file}"
        found = chain["features"].get(name)
        if cut.sha256 is not None and found != cut.sha256:
            raise DataIntegrityError(
                f"{name} must be what `embed` wrote, sha256 {cut.sha256}. Received: {found}. What "
                "was trained on it is not to be trusted. Delete the file and its copies below "
                ".dvc/cache and data/cache, choose another search.seed, which begins the studies "
                "anew, and run `dvc repro`."
            )


def write_chain(folder: Path, chain: Chain | None) -> None:
    """Writes `CHAIN_FILE`, equal for equal chains; nothing without a chain."""
    if chain is not None:
        (folder / CHAIN_FILE).write_text(_as_text(chain), encoding="utf-8")


def chain_tags(chain: Chain | None) -> dict[str, str]:
    """Returns the tag of a version that says what its `CHAIN_FILE` is; none without a chain."""
    if chain is None:
        return {}
    return {CHAIN_SHA256: hashlib.sha256(_as_text(chain).encode()).hexdigest()}


def _as_text(chain: Chain) -> str:
    return json.dumps(chain, indent=2, sort_keys=True) + "\n"


def check(root: Path, chain: Chain, *, study: str) -> Iterator[CheckedLink]:
    """Yields each link of a chain, computed again from what is on disk.

    Args:
        root: The repository.
        chain: As `chain_of` returned it when the model was registered.
        study: The study's name.
    """
    for link in LINKS:
        files = chain.get(link, {})
        problems = (_problem(root, name, sha256, study) for name, sha256 in files.items())
        first = next((problem for problem in problems if problem), "")
        yield CheckedLink(name=link, num_files=len(files), problem=first)


def _problem(root: Path, name: str, expected: str, study: str) -> str:
    found = _sha256(root, name, study)
    if found == expected:
        return ""
    if found is None:
        return f"{name} is not here; `dvc pull` brings it if DVC holds it"
    return f"{name} is another one: sha256 {expected[:12]} was recorded, {found[:12]} is here"


def _sha256(root: Path, name: str, study: str) -> str | None:
    """Returns a file's SHA-256; None if there is none.

    Of `params.yaml` it is that of what it says of a study and of what comes before it, whatever its
    comments and its layout.
    """
    if name == CODE:
        return code_sha256(*TRAINING_CODE)
    file = root / name
    if not file.is_file():
        return None
    if name == PARAMS_FILE.name:
        document = read_document(file)
        studies = document.get("studies")
        own = {
            **{section: document.get(section) for section in SECTIONS},
            "study": studies.get(study) if isinstance(studies, dict) else None,
        }
        text = json.dumps(own, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
    return sha256_file(file)


def _existing(root: Path, name: str, study: str) -> str:
    sha256 = _sha256(root, name, study)
    if sha256 is None:
        raise DataIntegrityError(f"{root / name} must exist before this stage. Run `dvc repro`.")
    return sha256


def _below(root: Path, folder: str) -> list[str]:
    files = sorted(file for file in (root / folder).rglob("*") if file.is_file())
    # Of an empty folder the folder itself is what is missing.
    return [file.relative_to(root).as_posix() for file in files] or [folder]
