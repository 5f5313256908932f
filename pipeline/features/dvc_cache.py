"""Finds in DVC's cache what earlier runs of a stage wrote; opens nothing there for writing.

DVC deletes what a stage wrote before it runs it again. An out that persists would stay, but DVC
then no longer takes the whole stage from its cache when an earlier state comes back; and its cache
holds more, what other branches and experiments have made too. The formats are those of DVC's user
guide, "Internal directories and files"; what does not follow them is passed over.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

logger = logging.getLogger(__name__)

SECONDS_TO_ANSWER = 60.0


def earlier_folders(root: Path, *, stage: str, out: str) -> Iterator[Mapping[str, Path]]:
    """Yields what a folder held after earlier runs of a stage, the current `dvc.lock` first.

    Args:
        root: The repository; a folder without DVC has had no earlier runs.
        stage: As in `dvc.yaml`.
        out: The folder that the stage writes, relative to the root, with forward slashes.

    Yields:
        By path relative to the folder: where its content lies, read-only, in the cache. Files that
        are no longer in the cache are left out.
    """
    cache = _cache_folder(root)
    if cache is None:
        return
    locked = (_read_yaml(root / "dvc.lock", naming=out).get("stages") or {}).get(stage) or {}
    runs = sorted((cache / "runs").glob("*/*/*"), key=_age)
    seen = set()
    for run in (locked, *(_read_yaml(path, naming=out) for path in runs)):
        for digest in _digests(run, out):
            if digest not in seen:
                seen.add(digest)
                yield _listing(cache / "files" / "md5", digest)


def _cache_folder(root: Path) -> Path | None:
    """Asks DVC, since four configuration files may say where it is."""
    if not (root / ".dvc").is_dir():
        return None
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    try:
        answer = subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_ANSWER,
            check=False,
        )
    except subprocess.TimeoutExpired:
        logger.warning("DVC does not say where its cache is: nothing is taken from it")
        return None
    folder = Path(answer.stdout.strip())
    return folder if answer.returncode == 0 and folder.is_dir() else None


def _read_yaml(path: Path, *, naming: str) -> dict[str, Any]:
    # Only what names the out: to parse a text takes milliseconds, and the cache has one for each
    # run of any stage.
    try:
        text = path.read_text(encoding="utf-8")
        content = YAML(typ="safe", pure=True).load(text) if naming in text else {}
    except (OSError, UnicodeDecodeError, YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _digests(run: Mapping[str, Any], out: str) -> list[str]:
    outs = run.get("outs")
    entries = [entry for entry in outs if isinstance(entry, dict)] if outs else []
    return [str(entry["md5"]) for entry in entries if entry.get("path") == out and "md5" in entry]


def _listing(objects: Path, digest: str) -> dict[str, Path]:
    try:
        entries = json.loads(_object(objects, digest).read_text(encoding="utf-8"))
        files = {entry["relpath"]: _object(objects, entry["md5"]) for entry in entries}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {name: path for name, path in files.items() if path.is_file()}


def _object(objects: Path, digest: str) -> Path:
    return objects / digest[:2] / digest[2:]


def _age(path: Path) -> float:
    return -path.stat().st_mtime
