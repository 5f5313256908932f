"""Checks params.yaml and says everything that is wrong with it, in under a second.

Run: python -m pipeline check
"""

import argparse
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from pipeline.bases.cuts import NO_POOLING
from pipeline.bases.table import NO_BASE
from pipeline.clock import budget_problem
from pipeline.config import PARAMS_FILE, Section, parse_section, read_document
from pipeline.data.datasets import DATASETS
from pipeline.data.fetch_params import FetchParams
from pipeline.data.split_params import SplitParams
from pipeline.errors import ConfigError
from pipeline.evaluation.params import EvaluateParams
from pipeline.features.manifest import MANIFEST, read_manifest
from pipeline.features.params import FEATURES, EmbedParams
from pipeline.hyperparameter import Hyperparameter
from pipeline.planning.params import PlanParams
from pipeline.records.model_registry.params import AUTO, RegisterParams
from pipeline.registry import unknown_name
from pipeline.review.params import ReviewParams
from pipeline.search.between_sections import executor_problem
from pipeline.search.distributions import Fixed
from pipeline.search.params import (
    StudyParams,
    default_problems,
    embedded_space,
    name_problems,
    study_problems,
)
from pipeline.search.sections import ConfirmParams, DiagnoseParams, SearchParams
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS

# Declared beside the stages, which import what they work with.
SECTIONS: dict[str, type[Section]] = {
    "fetch": FetchParams,
    "split": SplitParams,
    "plan": PlanParams,
    "embed": EmbedParams,
    "review": ReviewParams,
    "evaluate": EvaluateParams,
    "register": RegisterParams,
    "search": SearchParams,
    "confirm": ConfirmParams,
    "diagnose": DiagnoseParams,
}
BUDGET = "budget"
OTHER_SECTIONS = ("defaults", "studies")
HELP_WIDTH = 100


def problems_of(document: Mapping[str, object]) -> list[str]:
    """Lists everything that is wrong with a `params.yaml`, each with its dotted path."""
    names = [BUDGET, *SECTIONS, *OTHER_SECTIONS]
    problems = [f"{name}: this section is missing." for name in names if name not in document]
    problems += [
        f"{name}: {unknown_name('section', name, names)}" for name in document if name not in names
    ]
    for name, model in SECTIONS.items():
        if name in document:
            problems += _section_problems(model, name, document[name])
    if BUDGET in document and (problem := budget_problem(document[BUDGET])):
        problems.append(f"{BUDGET}: {problem}")
    problems += [*_time_problems(document), *_machine_problems(document)]
    if "defaults" in document:
        problems += default_problems(document["defaults"])
    if "studies" in document:
        problems += _studies_problems(document)
        problems += _register_problems(document)
    return problems


def _section_problems(model: type[Section], name: str, value: object) -> list[str]:
    try:
        parse_section(model, name, value)
    except ConfigError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


def _time_problems(document: Mapping[str, object]) -> list[str]:
    search = document.get("search")
    if not isinstance(search, dict) or search.get("trials") != AUTO:
        return []
    if document.get(BUDGET) != "none" or search.get("timeout") != "none":
        return []
    return [
        "search.trials: must be a number where neither budget nor search.timeout limits the time. "
        "Received: 'auto'."
    ]


def _machine_problems(document: Mapping[str, object]) -> list[str]:
    """Says what the document asks for that this machine does not have."""
    fetch, search = document.get("fetch"), document.get("search")
    problems = []
    if isinstance(search, dict) and (problem := executor_problem(search.get("executor"))):
        problems.append(f"search.executor: {problem}")
    if isinstance(fetch, dict) and isinstance(path := fetch.get("path"), str):
        spec = DATASETS.get(str(fetch.get("dataset")))
        if spec is not None and spec.is_own and not Path(path).exists():
            need = f"must be there where dataset is {fetch['dataset']}"
            hint = "Put your images there, `dvc pull` them, or name another folder."
            problems.append(f"fetch.path: {need}. Received: {path!r}. {hint}")
    return problems


def _studies_problems(document: Mapping[str, object]) -> list[str]:
    studies = document["studies"]
    if not isinstance(studies, dict) or not studies:
        return [f"studies: must map names to studies, at least one. Received: {studies!r}."]
    problems = []
    for name, value in studies.items():
        problems += name_problems(name)
        found = _section_problems(StudyParams, f"studies.{name}", value)
        if not found:
            study = StudyParams.model_validate(value)
            found = study_problems(str(name), study, document)
            found += _base_problems(str(name), study, document.get("embed"))
            found = found or _problems_once_embedded(str(name), study, document)
        problems += found
    return problems


def _base_problems(name: str, study: StudyParams, embed: object) -> list[str]:
    bases = embed.get("bases") if isinstance(embed, dict) else None
    # What is left open whole is one entry of that name.
    known = [NO_BASE, *([bases] if bases == AUTO else bases if isinstance(bases, dict) else [])]
    if study.base in known:
        return []
    hint = "Bases are listed under embed.bases."
    return [f"studies.{name}.base: {unknown_name('base', study.base, known)} {hint}"]


def _problems_once_embedded(
    name: str, study: StudyParams, document: Mapping[str, object]
) -> list[str]:
    """Compares a study with its base's features, if those that embed.bases lists are there.

    The order of the cuts, and so what phase 2 can start from, is known of these alone.
    """
    features = FEATURES / study.base
    try:
        search = parse_section(SearchParams, "search", document.get("search"))
        embed = parse_section(EmbedParams, "embed", document.get("embed"))
    except ConfigError:
        return []
    entry = embed.bases.get(study.base)
    if entry is None or entry.cuts == AUTO or not (features / MANIFEST).is_file():
        return []
    cuts = read_manifest(features).cuts
    # Of a list its name says all there is.
    pooling = {cut: entry.pooling.get(cut, NO_POOLING) for cut in entry.names_kept}
    if {cut: known.pooling or NO_POOLING for cut, known in cuts.items()} != pooling:
        return []
    space = SearchSpace.parse(study.space, Fixed.model_validate(document["defaults"]).root)
    try:
        embedded_space(study, space, search, cuts)
    except ConfigError as error:
        return [f"studies.{name}: {error}"]
    return []


def _register_problems(document: Mapping[str, object]) -> list[str]:
    studies, register = document["studies"], document.get("register")
    wanted = register.get("study") if isinstance(register, dict) else None
    if not isinstance(studies, dict) or not isinstance(wanted, str):
        return []
    with_base = [
        str(name)
        for name, study in studies.items()
        if isinstance(study, dict) and study.get("base") != NO_BASE
    ]
    if wanted in with_base or (wanted == AUTO and with_base):
        return []
    if wanted == AUTO:
        need = "needs a study with a base, since only transfer-learned models are registered"
        return [f"register.study: {need}. Received: studies={', '.join(map(str, studies))}."]
    if wanted in studies:
        hint = f"Choose one of: {', '.join([AUTO, *with_base])}."
        return [
            f"register.study: must have a base. Received: {wanted!r}, whose base is none. {hint}"
        ]
    return [f"register.study: {unknown_name('study', wanted, [AUTO, *with_base])}"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command takes none; its help lists every hyperparameter."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = [
        textwrap.fill(f"{name} ({_legal(spec)}): {spec.help}", HELP_WIDTH, subsequent_indent="    ")
        for name, spec in HYPERPARAMETERS.items()
    ]
    parser.epilog = "\n".join(["what `defaults` and each `studies.NAME.space` may set:", *lines])


def _legal(spec: Hyperparameter) -> str:
    numbers = [] if spec.low is None else [f"{spec.kind} in {spec.interval}"]
    return ", ".join([*numbers, *map(str, spec.choices)]) or spec.kind


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
