"""Checks params.yaml and says everything that is wrong with it, in under a second.

Run: python -m pipeline check
"""

import argparse
import importlib
import sys
from collections.abc import Mapping
from typing import Any

from pipeline.config import PARAMS_FILE, Section, parse_section, read_document
from pipeline.errors import ConfigError
from pipeline.registry import unknown_name
from pipeline.tuning.params import (
    NO_BASE,
    ConfirmParams,
    SearchParams,
    StudyParams,
    default_problems,
    study_problems,
)

# A stage declares its own section, which has its name.
SECTIONS_OF_STAGES = {
    "fetch": "FetchParams",
    "split": "SplitParams",
    "embed": "EmbedParams",
    "evaluate": "EvaluateParams",
    "register": "RegisterParams",
}
OTHER_SECTIONS = ("search", "defaults", "studies", "confirm")


def problems_of(document: Mapping[str, Any]) -> list[str]:
    """Lists everything that is wrong with a `params.yaml`, each with its dotted path."""
    names = [*SECTIONS_OF_STAGES, *OTHER_SECTIONS]
    problems = [f"{name}: this section is missing." for name in names if name not in document]
    problems += [
        f"{name}: {unknown_name('section', name, names)}" for name in document if name not in names
    ]
    for name, model in _sections().items():
        if name in document:
            problems += _section_problems(model, name, document[name])
    if "defaults" in document:
        problems += default_problems(document["defaults"])
    if "studies" in document:
        problems += _studies_problems(document)
    return problems


def _sections() -> dict[str, type[Section]]:
    of_stages = {
        name: getattr(importlib.import_module(f"pipeline.stages.{name}"), class_name)
        for name, class_name in SECTIONS_OF_STAGES.items()
    }
    return {**of_stages, "search": SearchParams, "confirm": ConfirmParams}


def _section_problems(model: type[Section], name: str, value: object) -> list[str]:
    try:
        parse_section(model, name, value)
    except ConfigError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


def _studies_problems(document: Mapping[str, Any]) -> list[str]:
    studies = document["studies"]
    if not isinstance(studies, dict) or not studies:
        return [f"studies: must map names to studies, at least one. Received: {studies!r}."]
    problems = []
    for name, value in studies.items():
        found = _section_problems(StudyParams, f"studies.{name}", value)
        if not found:
            study = StudyParams.model_validate(value)
            found = study_problems(str(name), study, document.get("defaults"))
            found += _base_problems(str(name), study, document.get("embed"))
        problems += found
    return problems


def _base_problems(name: str, study: StudyParams, embed: object) -> list[str]:
    bases = embed.get("bases") if isinstance(embed, dict) else None
    known = [NO_BASE, *(bases if isinstance(bases, dict) else [])]
    if study.base in known:
        return []
    hint = "Bases are listed under embed.bases."
    return [f"studies.{name}.base: {unknown_name('base', study.base, known)} {hint}"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command takes none."""


def main(_: argparse.Namespace) -> int:
    """Prints every problem, one a line.

    Returns:
        0 if there is none, else 2.
    """
    problems = problems_of(read_document())
    for problem in problems:
        print(f"{PARAMS_FILE}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{PARAMS_FILE} is fine.")
    return 2 if problems else 0
