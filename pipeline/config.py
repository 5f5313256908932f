"""Typed reading of `params.yaml`: one section per stage.

A stage declares its section as a `Section` class in its own module, so that a change to one
stage's parameters never makes DVC rerun another. A section has no defaults: every value that a
result depends on is in `params.yaml`, where DVC sees it change and MLflow records it.
"""

import difflib
import os
from pathlib import Path
from typing import Any, TypeVar

# Looking for plugins in every installed package takes longer than reading params.yaml.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.errors import ConfigError

PARAMS_FILE = Path("params.yaml")


class Section(BaseModel):
    """Base of all sections: unknown keys, wrong types and later changes are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


def read_document(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Reads `params.yaml` as plain dicts, lists and scalars.

    YAML 1.2, as DVC reads it: `1e-05` is a number and a duplicate key is refused, where PyYAML
    takes the first for text and the last of the second.

    Raises:
        ConfigError: If the file is missing, is not YAML, or is not a mapping of sections.
    """
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"No {path} here. Run from the repository root.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}.") from None
    except MarkedYAMLError as error:
        raise ConfigError(_yaml_problem(path, error)) from None
    except YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {_one_line(str(error))}.") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must be a mapping of sections. Received: {document!r}.")
    return document


def study_bases(path: Path = PARAMS_FILE) -> dict[str, str]:
    """Returns the base of each study of `params.yaml`, by the study's name.

    Raises:
        ConfigError: If the file names no study, or one of them no base.
    """
    studies = read_document(path).get("studies")
    if not isinstance(studies, dict) or not studies:
        raise ConfigError(f"{path}: studies must name at least one. Received: {studies!r}.")
    for name, study in studies.items():
        if not isinstance(study, dict) or "base" not in study:
            raise ConfigError(f"{path}: studies.{name} must have a base. Received: {study!r}.")
    return {str(name): str(study["base"]) for name, study in studies.items()}


def load_section(model: type[SectionT], name: str, path: Path = PARAMS_FILE) -> SectionT:
    """Reads one section of `params.yaml`.

    Args:
        model: The section's class.
        name: Its key; dots go down (`studies.transfer`).
        path: The file, relative to the working directory.

    Raises:
        ConfigError: If the file or the section is missing, or any value does not fit. Every
            problem of the section is reported at once, each by its dotted path.
    """
    value: Any = read_document(path)
    for depth, key in enumerate(name.split(".")):
        if not isinstance(value, dict) or key not in value:
            parent = ".".join(name.split(".")[:depth]) or str(path)
            has = ", ".join(map(str, value)) if isinstance(value, dict) else repr(value)
            raise ConfigError(f"{parent} has no {key!r}. It has: {has}.")
        value = value[key]
    return parse_section(model, name, value, path)


def parse_section(
    model: type[SectionT], name: str, value: object, path: Path = PARAMS_FILE
) -> SectionT:
    """Checks one section's value; see `load_section`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = "\n".join(f"  {problem}" for problem in _problems(model, name, error))
        raise ConfigError(f"{path} cannot be used:\n{lines}") from None


def _problems(model: type[BaseModel], name: str, error: ValidationError) -> list[str]:
    return [
        _problem(model, ".".join([name, *map(str, _readable(e["loc"]))]), dict(e))
        for e in error.errors()
    ]


def _problem(model: type[BaseModel], where: str, error: dict[str, Any]) -> str:
    if error["type"] == "missing":
        return f"{where}: this key is missing."
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(where.rpartition(".")[2], _all_keys(model), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"{where}: there is no such key.{hint} Received: {error['input']!r}."
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    # A whole section is never shown: it is long, and there may be a password in it.
    is_of_section = error["type"] == "value_error" and isinstance(error["input"], dict)
    is_said = is_of_section or "Received:" in message
    received = "" if is_said else f" Received: {error['input']!r}."
    return f"{where}: {message}.{received}"


def _readable(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # pydantic puts the tag of a discriminated union and the names of union members into the path.
    return tuple(
        part for part in loc if isinstance(part, int) or not ("[" in part or part == "int")
    )


def _all_keys(model: type[BaseModel]) -> list[str]:
    keys = list(model.model_fields)
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _all_keys(field.annotation)
    return keys


def _yaml_problem(path: Path, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    return f"{where}: {_one_line(str(error.problem or error))}."


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _auto_or_positive(value: Any) -> Any:
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError("must be auto, or a whole number of at least 1")


BatchSize = Annotated[Literal["auto"] | int, BeforeValidator(_auto_or_positive)]
"""In `params.yaml`: images at a time; auto: as many as are fast and fit into memory."""
