"""Which code, data, versions and machine a run came from, as tags.

Keys: `git.commit`, `git.branch`, `git.dirty`; `dvc.train`, `dvc.test`, `dvc.split` (md5 of the
outs of stage `split` in `dvc.lock`), `dvc.experiment`; `version.python` and one for each library;
`machine.name`, `machine.cores`, `machine.memory_gb`, `machine.platform`. What cannot be had is
`none`, never left out.
"""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

LIBRARIES = ("tensorflow", "keras", "optuna", "mlflow", "dvc", "numpy", "scikit-learn")
NONE = "none"
GIT_SECONDS = 10.0
LENGTH_OF_COMMIT = 40


def revision_tags(root: Path) -> dict[str, str]:
    """Returns where a run comes from.

    Args:
        root: The repository; need not be one of git.
    """
    return {**git_tags(root), **dvc_tags(root), **version_tags(), **machine_tags()}


def git_tags(root: Path) -> dict[str, str]:
    """Returns commit and branch, and whether there are changes that are not committed.

    `dvc.lock` counts for nothing: DVC writes it, and the hashes in it are recorded by themselves. A
    repository around `root` that holds none of its files says nothing about them.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if len(commit) != LENGTH_OF_COMMIT or not _git(root, "ls-files"):
        return {"git.commit": NONE, "git.branch": NONE, "git.dirty": NONE}
    changes = _git(root, "status", "--porcelain", "--", ".", ":!dvc.lock")
    return {
        "git.commit": commit,
        "git.branch": _git(root, "rev-parse", "--abbrev-ref", "HEAD") or NONE,
        "git.dirty": str(bool(changes)).lower(),
        # The key that MLflow's own pages show as the version of a run.
        "mlflow.source.git.commit": commit,
    }


def dvc_tags(root: Path) -> dict[str, str]:
    """Returns DVC's md5 of each file that stage `split` wrote, and the experiment's name."""
    tags = {f"dvc.{Path(path).stem}": md5 for path, md5 in _split_outs(root / "dvc.lock").items()}
    return {
        **dict.fromkeys(("dvc.train", "dvc.test", "dvc.split"), NONE),
        **tags,
        "dvc.experiment": os.environ.get("DVC_EXP_NAME") or NONE,
    }


def version_tags() -> dict[str, str]:
    """Returns the versions of Python and the libraries, none of which is imported."""
    libraries = {f"version.{name}": installed_version(name) for name in LIBRARIES}
    return {"version.python": platform.python_version(), **libraries}


def machine_tags() -> dict[str, str]:
    """Returns what the machine is; cores are those that this process may use."""
    import psutil

    cores = len(psutil.Process().cpu_affinity()) if platform.system() == "Linux" else os.cpu_count()
    return {
        "machine.name": platform.node() or NONE,
        "machine.cores": str(cores),
        "machine.memory_gb": f"{psutil.virtual_memory().total / 1e9:.1f}",
        "machine.platform": platform.platform(),
    }


def installed_version(library: str) -> str:
    """Returns an installed library's version, or `none`.

    A build of TensorFlow for one kind of machine is a distribution of another name.
    """
    names = (library, f"{library}-cpu") if library == "tensorflow" else (library,)
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return NONE


def _git(root: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _split_outs(lock_file: Path) -> dict[str, str]:
    try:
        document = YAML(typ="safe", pure=True).load(lock_file.read_text(encoding="utf-8"))
    except (OSError, YAMLError):
        return {}
    stages = (document or {}).get("stages", {})
    outs = stages.get("split", {}).get("outs", [])
    return {out["path"]: out["md5"] for out in outs if "md5" in out}
