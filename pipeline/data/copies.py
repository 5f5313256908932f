"""One's own images in a copy of the repository, which holds only what git and DVC track."""

import logging
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.workspace import store_root

logger = logging.getLogger(__name__)

NUM_NAMED = 3


def check_copied(path: Path, *, root: Path) -> None:
    """Makes sure that a copy of the repository holds the images that its original holds.

    `dvc exp run --temp` and `--queue` copy what git and DVC track: of images that neither tracks,
    the copy may hold an empty folder, or some of the classes. In the original, the log says what a
    copy would lack.

    Args:
        path: The images; relative to `root`, or absolute, which is the same place in every copy.
        root: The repository that a stage runs in.

    Raises:
        ConfigError: If `root` is such a copy, and what is directly below `path` in the original is
            not all there. A folder that DVC tracks as a whole is what the copy's commit says.
    """
    is_within = (root / path).resolve().is_relative_to(root.resolve())
    if not is_within or is_tracked(path, root=root):
        return
    original = store_root(root)
    lacking = sorted(_entries(original / path) - _entries(root / path))
    if lacking:
        named = ", ".join(lacking[:NUM_NAMED]) + (", ..." if len(lacking) > NUM_NAMED else "")
        raise ConfigError(
            f"fetch.path must be tracked by DVC for `dvc exp run --temp` and `--queue`, which copy "
            f"only what git and DVC track. Received: {path}, of which the copy lacks {named}. "
            f"Run `dvc add {path}`, or run without --temp and --queue."
        )
    if original == root.resolve() and _entries(root / path):
        logger.info(
            "%s is not tracked by DVC: `dvc add %s` takes it to clones, and to the copies that "
            "`dvc exp run --temp` and `--queue` run in",
            path,
            path,
        )


def is_tracked(path: Path, *, root: Path) -> bool:
    """Says whether `path`, or a folder that it lies in, was added to DVC."""
    return any((root / f"{each}.dvc").is_file() for each in (path, *path.parents) if each.name)


def _entries(folder: Path) -> set[str]:
    """Returns the names directly below a folder, but for what git and DVC keep there."""
    if not folder.is_dir():
        return set()
    names = (entry.name for entry in folder.iterdir())
    return {name for name in names if not name.startswith(".") and not name.endswith(".dvc")}
