"""The sections `search`, `studies`, `defaults` and `confirm` of `params.yaml`, and how they fit."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pipeline.config import Section, parse_section, read_document
from pipeline.database_addresses import storage_problem
from pipeline.durations import Duration
from pipeline.errors import ConfigError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.features.manifest import Cuts
from pipeline.processes import num_cores
from pipeline.registry import unknown_name
from pipeline.search.between_sections import problems_between
from pipeline.search.candidates import MOST_CANDIDATES, MOST_SEEDS
from pipeline.search.configurations import configuration_problems
from pipeline.search.cut_roles import ROLES, without_roles
from pipeline.search.distributions import Fixed, Setting, parse_setting
from pipeline.search.pruners import Pruner
from pipeline.search.samplers import SAMPLERS, rungs_problem, sampler_problem
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS, named
from pipeline.training.segments import MIN_EPOCHS_OF_TWO_PHASES, lower_cuts

logger = logging.getLogger(__name__)

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"


class RayParams(Section):
    """Section `search.ray`: used where `search.executor` is ray."""

    address: str = Field(min_length=1, description="local, auto, or the address of a cluster")
    num_cpus: float = Field(gt=0, description="cores that each trial takes")
    num_gpus: float = Field(ge=0, description="GPUs that each trial takes; 0.5: two share one")


class SearchParams(Section):
    """Section `search`: what all studies share."""

    trials: Literal["auto"] | int = Field(
        description="configurations wanted in each study; a target, or auto: what `budget` leaves "
        "time for"
    )
    rungs: int = Field(
        default=1,
        ge=1,
        le=5,
        description="1: each trial is a whole training; 2: each configuration is tried by a third "
        "of one, and the best third goes on to a whole one; 3: by a ninth, and so forth",
    )
    epochs: int = Field(ge=1, description="most epochs of a whole training")
    objective: str
    timeout: Duration = Field(description="of the whole stage: it ends by then plus one epoch")
    trial_timeout: Duration = Field(description="of one trial, which is killed and tried again")
    duplicates: Literal["reuse", "replicate"]
    executor: Literal["local", "ray"]
    workers: Literal["auto"] | int
    ray: RayParams = Field(description="used where executor is ray")
    storage: str = Field(min_length=1, description="auto, or the URL of a database")
    max_retries: int = Field(ge=0)
    max_failures: int = Field(ge=1)
    seed: int = Field(
        ge=0, description="root of every draw: of the sampler, and of each trial's training"
    )
    sampler: str
    pruner: Pruner

    @model_validator(mode="after")
    def _names_exist(self) -> "SearchParams":
        problems = []
        if self.objective not in OBJECTIVES:
            problems.append(unknown_name("objective", self.objective, list(OBJECTIVES)))
        if self.sampler not in set(SAMPLERS):
            problems.append(unknown_name("sampler", self.sampler, list(SAMPLERS)))
        for name in ("trials", "workers"):
            count = getattr(self, name)
            if count != "auto" and count < 1:
                problems.append(f"{name} must be auto or at least 1. Received: {count}.")
        problem = storage_problem(self.storage)
        if problem is not None:
            problems.append(f"storage {problem}")
        if problems:
            raise ValueError(" ".join(problems))
        return self

    @model_validator(mode="after")
    def _fit_rungs(self) -> "SearchParams":
        problem = rungs_problem(self.sampler, self.rungs)
        if self.pruner.name == "hyperband" and self.rungs > 1:
            problem = (
                "pruner hyperband has rungs of its own, of epochs alone. Received: "
                f"rungs={self.rungs}. Set search.rungs to 1, or choose another pruner."
            )
        if problem:
            raise ValueError(problem)
        return self

    @property
    def target(self) -> int | None:
        """Configurations wanted in each study; None: as many as there is time for."""
        return None if self.trials == "auto" else self.trials

    @property
    def num_workers(self) -> int:
        """Worker processes: the cores this process may use, unless a number is given."""
        return num_cores() if self.workers == "auto" else self.workers


class ConfirmParams(Section):
    """Section `confirm`: how the best trials are judged again."""

    top: Literal["auto"] | int = Field(
        description="trials that are trained again; auto: at most 5, as `budget` leaves time for"
    )
    seeds: Literal["auto"] | int = Field(
        description="trainings of each, with seeds no search has used; auto: at most 3, likewise"
    )
    export: Literal["ensemble", "best_seed"] = Field(
        description="the winner's seeds averaged, or the one of the best validation value"
    )

    @model_validator(mode="after")
    def _are_counts(self) -> "ConfirmParams":
        for name in ("top", "seeds"):
            count = getattr(self, name)
            if count != "auto" and count < 1:
                raise ValueError(f"{name} must be auto or at least 1. Received: {count}.")
        return self

    @property
    def is_timed(self) -> bool:
        """Whether the time that is left decides what is trained."""
        return "auto" in (self.top, self.seeds)

    @property
    def most_candidates(self) -> int:
        """Trials that are trained again, if there is time."""
        return MOST_CANDIDATES if self.top == "auto" else self.top

    @property
    def most_seeds(self) -> int:
        """Trainings of each, if there is time."""
        return MOST_SEEDS if self.seeds == "auto" else self.seeds


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
    problems = default_problems(document.get("defaults")) + study_problems(name, params, document)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"params.yaml cannot be used:\n{lines}")
    return params, SearchSpace.parse(params.space, named(document["defaults"]))


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
        logger.info("no cut was embedded that phase 2 could start from: unfreeze is 0")
        space = space.without_unfreezing()
    space = space.with_segments(cuts)
    if search.epochs < MIN_EPOCHS_OF_TWO_PHASES and space.can_unfreeze:
        raise ConfigError(
            "search.epochs must be 2 or more where a study unfreezes layers: each phase takes one. "
            f"Received: search.epochs={search.epochs}."
        )
    problems: list[str] = []
    for place, queued in enumerate(study.enqueue):
        if queued.get("cut") not in ROLES:
            problems += configuration_problems(f"enqueue.{place}", queued, space)
    if problems:
        raise ConfigError(" ".join(problems))
    return space
