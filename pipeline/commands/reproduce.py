"""Prints the commands that rebuild a registered model from the commit that made it.

Run: python -m pipeline reproduce [MODEL]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.commands.predict import registered_model
from pipeline.errors import ConfigError
from pipeline.workspace import REGISTRATION_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="models:/NAME@ALIAS or models:/NAME/VERSION (default: this checkout's champion)",
    )


def main(args: argparse.Namespace) -> int:
    """Prints the commands, and as comments what they do not bring.

    Returns:
        0.

    Raises:
        ConfigError: If there is no such model, or it was made outside of git.
        DataIntegrityError: If its file is not the one that was registered.
    """
    from pipeline.records.lineage import NONE
    from pipeline.records.model_registry.registered_file import REGISTRY, registered_file

    root = Path.cwd()
    uri = args.model or f"{REGISTRY}{registered_model(root)}@champion"
    with registered_file(root, uri, asked_by="MODEL") as file:
        tags, address = file.tags, f"{REGISTRY}{file.name}/{file.version}"
    if tags.get("git.commit", NONE) == NONE:
        raise ConfigError(f"{address} was made where git had no commit: nothing says by what code.")
    for line in commands(tags, address, root=root):
        print(line)
    return 0


def commands(tags: Mapping[str, str], address: str, *, root: Path) -> Iterator[str]:
    """Yields the lines.

    Args:
        tags: Of the version.
        address: Its `models:/NAME/VERSION`.
        root: The repository that holds the commit.
    """
    versions = (("python", "Python"), ("tensorflow", "TensorFlow"), ("keras", "Keras"))
    made_with = ", ".join(f"{name} {tags.get(f'version.{key}')}" for key, name in versions)
    yield f"# {address}: trial {tags.get('trial')} of study {tags.get('study')}"
    yield f"# Made with {made_with}"
    yield f"# on {tags.get('machine.platform')}, {tags.get('machine.cores')} cores"
    if tags.get("git.dirty") == "true":
        yield "# Tracked files had changes that were not committed: these are not in the commit."
    yield "# Images of your own (fetch.path) must lie there, too; git does not bring them."
    yield f"git clone {shlex.quote(str(root))} rebuilt"
    yield "cd rebuilt"
    yield f"git checkout {tags['git.commit']}"
    yield "make .venv/installed && source .venv/bin/activate"
    yield "dvc repro"
    yield "# The same weights, on a machine of the same kind; with a budget, what fits decides:"
    yield f"grep {tags.get('weights_sha256')} {REGISTRATION_FILE}"
