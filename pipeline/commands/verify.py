"""Says whether what is on disk is what a registered model was made of; exit 1 if it is not.

Run: python -m pipeline verify [MODEL] [--deep]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.commands.predict import registered_model
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file
from pipeline.plural import plural
from pipeline.records.chain import CHAIN_FILE, CHAIN_SHA256, check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    add_model(parser)
    parser.add_argument(
        "--deep",
        action="store_true",
        help="also train the winning trial again and compare it, epoch by epoch",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declares the argument that `address` reads."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="models:/NAME@ALIAS or models:/NAME/VERSION (default: this checkout's champion)",
    )


def address(model: str | None, root: Path) -> str:
    """Returns the address of a registered model; without one, that of the checkout's champion.

    Raises:
        ConfigError: If it is none, such as a file.
    """
    from pipeline.records.model_registry.registered_file import REGISTRY

    uri = model or f"{REGISTRY}{registered_model(root)}@champion"
    if not uri.startswith(REGISTRY):
        raise ConfigError(f"MODEL must be an address as models:/NAME/VERSION. Received: {uri}.")
    return uri


def main(args: argparse.Namespace) -> int:
    """Prints a line for each link of the chain, from the raw images to the model.

    Returns:
        0 if all are as they were, else 1: the first that is not is where it began.

    Raises:
        ConfigError: If there is no such model, or it was registered without a chain.
        DataIntegrityError: If its own file, or its chain, is not the one that was registered.
    """
    from pipeline.records.model_registry.registered_file import registered_file

    root = Path.cwd()
    uri = address(args.model, root)
    with registered_file(root, uri, asked_by="MODEL") as file:
        chain_file = file.folder / CHAIN_FILE
        _check_is_registered(chain_file, file.tags.get(CHAIN_SHA256), uri)
        chain = json.loads(chain_file.read_text(encoding="utf-8"))
        file.onnx()  # Checked as the `.keras` file was when it was found.
        print(f"{file.name} version {file.version}: its files are those that were registered")
    num_problems = 0
    for link in check(root, chain, study=file.tags["study"]):
        num_problems += bool(link.problem)
        size = plural(link.num_files, "file")
        found = f"DIFFERS: {link.problem}" if link.problem else f"OK, {size}"
        print(f"{link.name:12}  {found}")
    if num_problems:
        return 1
    return _trained_again(file.tags) if args.deep else 0


def _trained_again(tags: Mapping[str, str]) -> int:
    """Trains the winner's trial of the search again; returns 0 if it gives the same."""
    from pipeline.commands import replay

    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    return replay.main(parser.parse_args([tags["study"], tags["trial"]]))


def _check_is_registered(chain_file: Path, expected: str | None, uri: str) -> None:
    if expected is None:
        raise ConfigError(
            f"{uri} has no chain of hashes: it was made by an earlier release. "
            "`dvc repro -f register` gives it one where its weights are those of this checkout."
        )
    found = sha256_file(chain_file) if chain_file.is_file() else "no file"
    if found != expected:
        raise DataIntegrityError(
            f"{CHAIN_FILE} of {uri} must be the file that was registered. Expected sha256: "
            f"{expected}. Received: {found}."
        )
