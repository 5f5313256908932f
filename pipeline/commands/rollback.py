"""Gives the alias `champion` back to the version that held it before.

Run: python -m pipeline rollback [NAME]. Run again, it takes that back.
"""

import argparse
from pathlib import Path

from pipeline.commands.predict import registered_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="NAME",
        help="a registered model (default: the one of this checkout's data set)",
    )


def main(args: argparse.Namespace) -> int:
    """Moves the aliases, and says from which version to which.

    Raises:
        ConfigError: If there is no such registered model, or no version that was champion before.
    """
    from pipeline.records.mirror.store import open_store
    from pipeline.records.model_registry.rollback import roll_back

    root = Path.cwd()
    name = args.model or registered_model(root)
    done = roll_back(open_store(root, create=False), name)
    print(f"{name}: version {done.champion} is champion again; {_what_of(done.former)}")
    return 0


def _what_of(former: str | None) -> str:
    if former is None:
        return "there was none."
    return (
        f"version {former}, which was, is `previous`, and `register` does not make it champion by "
        "itself. `dvc repro -f register` notes that in its report. Roll back again to take this "
        "back."
    )
