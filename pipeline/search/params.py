"""The sections `studies` and `defaults` of `params.yaml`, and how they fit the others."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from pipeline.config import Section, parse_section, read_document
from pipeline.errors import ConfigError
from pipeline.features.manifest import Cuts
from pipeline.search.between_sections import problems_between
from pipeline.search.configurations import configuration_problems
from pipeline.search.cut_roles import ROLES, without_roles
from pipeline.search.distributions import Fixed, Setting, parse_setting
from pipeline.search.samplers import sampler_problem
from pipeline.search.sections import SearchParams
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS, named
from pipeline.training.segments import MIN_EPOCHS_OF_TWO_PHASES, lower_cuts

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"
# A study's name is a key of results/predictions.npz beside what `np.savez` and the labels take, a
# folder beside these of results/, and a word of register.study beside `auto`.
TAKEN_NAMES = (
    *("labels", "file", "allow_pickle"),
    *("report", "review", "confusion", "diagnosis", "auto"),
)
TAKEN_ENDINGS = {
    r"_wrong_(images|indices)": "results/predictions.npz has other entries of such names",
    r"-[0-9a-f]{8}": "old studies are called NAME-HASH",
}

Named = Annotated[dict[str, Any], AfterValidator(named)]
"""Hyperparameters by name; a list of cuts becomes its name."""


class StudyParams(Section):
    """Section `studies.NAME`: one study."""

    base: str = Field(pattern=NAME_PATTERN)
    space: dict[str, object]
    enqueue: list[Named]


def load_study(name: str) -> tuple[StudyParams, SearchSpace]:
    """Reads one study and its space, and checks them against each other and the other sections.

    Raises:
        ConfigError: If anything does not fit; every problem at once.
    """
    document = read_document()
    studies = document.get("studies")
    if not isinstance(studies, dict) or name not in studies:
        known = ", ".join(studies) if isinstance(studies, dict) else "nothing"
        raise ConfigError(f"params.yaml has no studies.{name}. It has: {known}.")
    params = parse_section(StudyParams, f"studies.{name}", studies[name])
    problems = [
        *name_problems(name),
        *default_problems(document.get("defaults")),
        *study_problems(name, params, document),
    ]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"params.yaml cannot be used:\n{lines}")
    return params, SearchSpace.parse(params.space, named(document["defaults"]))


def name_problems(name: object) -> list[str]:
    """Lists what is wrong with the name of a study, a key below `studies`."""
    where = f"studies.{name}: a study"
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        rule = "must have a name of up to 64 letters, digits, _ and -, which does not begin with -"
        return [f"{where} {rule}. Received: {name!r}."]
    if name in TAKEN_NAMES:
        return [f"{where} cannot be called {name!r}, which is taken. Rename it."]
    return [
        f"{where} cannot have a name that ends like this: {reason}. Received: {name!r}. Rename it."
        for ending, reason in TAKEN_ENDINGS.items()
        if re.search(f"{ending}$", name)
    ]


def _sampler_of(document: Mapping[str, object]) -> object:
    # As it is written, which may be nothing or no sampler.
    search = document.get("search")
    return search.get("sampler") if isinstance(search, dict) else None


def study_problems(name: str, params: StudyParams, document: Mapping[str, object]) -> list[str]:
    """Lists everything that is wrong with a study, its space, its queue and the sections it needs.

    Args:
        name: Below `studies`.
        params: The study.
        document: All of params.yaml; what is missing or wrong there is left to its own section.
    """
    where, defaults = f"studies.{name}", document.get("defaults")
    settings, problems = _parse_space(f"{where}.space", params.space)
    space = SearchSpace(settings, defaults if isinstance(defaults, dict) else {})
    # Which cut has a role only the manifest says.
    enqueue = without_roles(params.enqueue)
    for position, queued in enumerate(enqueue):
        problems += configuration_problems(f"{where}.enqueue.{position}", queued, space)
    if not problems and (problem := sampler_problem(_sampler_of(document), space)):
        problems.append(f"{where}.space: {problem}")
    if {"cut", "unfreeze"} & (params.space.keys() - settings.keys()):
        return problems
    # How deep such an entry may reach, too.
    known = [{} if queued.get("cut") in ROLES else queued for queued in params.enqueue]
    return problems + problems_between(
        where, base=params.base, settings=settings, enqueue=known, document=document
    )


def default_problems(defaults: object) -> list[str]:
    """Lists everything that is wrong with the section `defaults`."""
    if not isinstance(defaults, dict):
        return [f"defaults: must be a mapping. Received: {defaults!r}."]
    problems = _validation_problems("defaults", lambda: Fixed.model_validate(defaults))
    missing = [name for name in HYPERPARAMETERS if name not in defaults]
    return problems + [f"defaults.{name}: this key is missing." for name in missing]


def _parse_space(where: str, space: Mapping[str, object]) -> tuple[dict[str, Setting], list[str]]:
    settings: dict[str, Setting] = {}
    problems: list[str] = []
    for name, written in space.items():

        def parse(name: str = name, written: object = written) -> None:
            settings[name] = parse_setting(name, written)

        problems += _validation_problems(f"{where}.{name}", parse)
    return settings, problems


def _validation_problems(where: str, check: Any) -> list[str]:
    try:
        check()
    except ValidationError as error:
        return [_readable(where, dict(e)) for e in error.errors()]
    except ValueError as error:
        text = str(error).rstrip(".")
        return [f"{where}: {text}."]
    return []


def _readable(where: str, error: dict[str, Any]) -> str:
    kinds = {"float", "int", "choice"}
    path = ".".join([where, *(str(p) for p in error["loc"] if p not in kinds)])
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    received = "" if "Received:" in message else f" Received: {error['input']!r}."
    return f"{path}: {message}.{received}"


def embedded_space(
    study: StudyParams, space: SearchSpace, search: SearchParams, cuts: Cuts
) -> SearchSpace:
    """Returns a study's space with the cuts, and the segments between them, that were embedded.

    Args:
        study: The study.
        space: As it is written.
        search: Section `search`.
        cuts: Of the base's manifest.

    Raises:
        ConfigError: If the study asks for a cut that was not embedded, unfreezes lower than
            embedded cuts reach, or has too few epochs for two phases.
    """
    is_left_open = {**space.defaults, **space.settings}["cut"] == "auto"
    # Those that the plan kept for heads; the others are for phase 2 to start from.
    heads = [cut for cut in cuts if is_left_open and cuts[cut].rank is not None]
    space = space.with_cuts(heads or list(cuts))
    if heads and "unfreeze" in space.settings and not any(lower_cuts(cuts, cut) for cut in heads):
        # Of a list that a user wrote this is an error; the plan knew what there is room for.
        space = space.without_unfreezing()
    space = space.with_segments(cuts)
    if search.num_epochs < MIN_EPOCHS_OF_TWO_PHASES and space.can_unfreeze:
        raise ConfigError(
            "search.epochs must be 2 or more where a study unfreezes layers: each phase takes one. "
            f"Received: search.epochs={search.num_epochs}."
        )
    problems: list[str] = []
    for place, queued in enumerate(study.enqueue):
        if queued.get("cut") not in ROLES:
            problems += configuration_problems(f"enqueue.{place}", queued, space)
    if problems:
        raise ConfigError(" ".join(problems))
    return space
