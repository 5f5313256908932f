"""The checkout whose stores are used, which is not always the one that runs."""

import platform
from pathlib import Path

# DVC 3.67, repo/experiments/queue/tempdir.py and executor/local.py: `dvc exp run --temp` makes its
# copy in .dvc/tmp/exps/standalone/tmpXXXX, `--queue` in .dvc/tmp/exps/tmpXXXX.
COPIES = (".dvc", "tmp", "exps")


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
