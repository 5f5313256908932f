"""Prints the commands that run again what made a registered model, from its commit on.

Run: python -m pipeline reproduce [MODEL]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.commands.verify import add_model, address
from pipeline.errors import ConfigError
from pipeline.workspace import REGISTRATION_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    add_model(parser)


def main(args: argparse.Namespace) -> int:
    """Prints the commands, and as comments what they do not bring.

    Raises:
        ConfigError: If there is no such model, or it was made outside of git.
        DataIntegrityError: If its file is not the one that was registered.
    """
    from pipeline.records.lineage import NONE
    from pipeline.records.model_registry.registered_file import REGISTRY, registered_file

    root = Path.cwd()
    with registered_file(root, address(args.model, root), asked_by="MODEL") as file:
        tags, version = file.tags, f"{REGISTRY}{file.name}/{file.version}"
    if tags.get("git.commit", NONE) == NONE:
        raise ConfigError(f"{version} was made where git had no commit: nothing says by what code.")
    for line in commands(tags, version, root=root):
        print(line)
    return 0


def commands(tags: Mapping[str, str], version: str, *, root: Path) -> Iterator[str]:
    """Yields the lines.

    Args:
        tags: Of the version.
        version: Its address, `models:/NAME/VERSION`.
        root: The repository that holds the commit.
    """
    versions = (("python", "Python"), ("tensorflow", "TensorFlow"), ("keras", "Keras"))
    made_with = ", ".join(f"{name} {tags.get(f'version.{key}')}" for key, name in versions)
    yield f"# {version}: trial {tags.get('trial')} of study {tags.get('study')}"
    yield f"# Made with {made_with}"
    yield f"# on {tags.get('machine.platform')}, {tags.get('machine.cores')} cores"
    if tags.get("git.dirty") == "true":
        yield "# There were changes that were not committed, perhaps of params.yaml: bring them."
    yield "# Images of your own (fetch.path) must lie there, too; git does not bring them."
    yield f"git clone {shlex.quote(str(root))} rebuilt"
    yield "cd rebuilt"
    yield f"git checkout {tags['git.commit']}"
    yield "make .venv/installed && source .venv/bin/activate"
    yield "dvc repro"
    yield "# Whether the weights are the same. With a budget another search may come of it."
    yield f"grep {tags.get('weights_sha256')} {REGISTRATION_FILE}"
