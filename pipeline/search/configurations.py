"""Configurations that a user wants tried: read from words, and checked against a study's space.

Optuna takes any: it ignores names that it does not ask for and uses values out of range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import ConfigError
from pipeline.hyperparameter import Value
from pipeline.registry import unknown_name
from pipeline.search.distributions import Choice, FloatRange, IntRange, SegmentRange, Setting, legal
from pipeline.search.space import SearchSpace, inactive_problem
from pipeline.training.hyperparameters import HYPERPARAMETERS, named

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def read_assignments(words: Sequence[str]) -> dict[str, Value]:
    """Reads `key=value` words; values are written as in `params.yaml`.

    Raises:
        ConfigError: If a word is no such pair, or a key is given twice.

    >>> read_assignments(["units=64", "learning_rate=1e-3", "normalization=none"])
    {'units': 64, 'learning_rate': 0.001, 'normalization': 'none'}
    >>> read_assignments(["cut=[block4_add, block7_add]"])
    {'cut': 'block4_add+block7_add'}
    """
    read: dict[str, Value] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text):
            raise ConfigError(f"Hyperparameters are given as key=value. Received: {word!r}.")
        if name in read:
            raise ConfigError(f"{name} is given twice. Received: {' '.join(words)}.")
        try:
            read[name] = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise ConfigError(f"{name} must be a number or a word. Received: {word!r}.") from None
    return named(read)


def configuration_problems(
    where: str,
    configuration: Mapping[str, Value],
    space: SearchSpace,
) -> list[str]:
    """Lists everything that keeps a configuration from being tried as it is written.

    Args:
        where: What comes before each name: a path in `params.yaml`, or nothing.
        configuration: Values by name; of what is searched, any part.
        space: Of the study.
    """
    beside = {**space.defaults, **space.settings, **configuration}
    problems = []
    for name, value in configuration.items():
        problem = _value_problem(name, value, space.settings) or inactive_problem(name, beside)
        if problem is None and name == "unfreeze":
            problem = _depth_problem(configuration, space.settings)
        if problem:
            problems.append(f"{f'{where}.{name}' if where else name}: {problem}")
    return problems


def normalized(configuration: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """Returns what a checked configuration says of what is searched, as the search has it.

    A whole number becomes a float where floats are searched; what is fixed anyway is left out.
    """
    return {
        name: float(value) if isinstance(space.settings[name], FloatRange) else value
        for name, value in configuration.items()
        if name in space.searched
    }


class MisfitError(Exception):
    """What a space asks for is not given, or lies outside of it."""


class Recorded:
    """Answers a space like a trial, with given values, and keeps what it was asked.

    Attributes:
        distributions: By name, what it was asked with.
        params: By name, what it answered.
    """

    def __init__(self, hyperparameters: Mapping[str, Value]) -> None:
        self._values = hyperparameters
        self.distributions: dict[str, BaseDistribution] = {}
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, **kwargs: Any) -> float:
        from optuna.distributions import FloatDistribution

        return float(self._answer(name, FloatDistribution(low, high, **kwargs)))

    def suggest_int(self, name: str, low: int, high: int, **kwargs: Any) -> int:
        from optuna.distributions import IntDistribution

        return int(self._answer(name, IntDistribution(low, high, **kwargs)))

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        from optuna.distributions import CategoricalDistribution

        return self._answer(name, CategoricalDistribution(choices))

    def _answer(self, name: str, distribution: BaseDistribution) -> Any:
        value = self._values.get(name)
        if value is None or not _holds(distribution, value):
            raise MisfitError(name)
        self.distributions[name] = distribution
        self.params[name] = value
        return value


def _holds(distribution: BaseDistribution, value: Value) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:  # What Optuna raises for a value that is no choice, or no number.
        return False


def completed(configuration: Mapping[str, Value], space: SearchSpace) -> dict[str, Value] | None:
    """Returns every hyperparameter of a configuration, or None if a sampler has to add some."""
    try:
        return space.suggest(Recorded(configuration))
    except MisfitError:
        return None


def _value_problem(name: str, value: object, settings: Mapping[str, Setting]) -> str | None:
    if name not in HYPERPARAMETERS:
        return unknown_name("hyperparameter", name, list(settings))
    setting = settings.get(name)
    if setting is None:
        return (
            "this study does not search it, so a trial cannot be given another value than the "
            f"default. Received: {value!r}."
        )
    if not isinstance(setting, FloatRange | IntRange | Choice):
        return None if setting == value else f"is fixed to {setting!r}. Received: {value!r}."
    if setting.holds(value):
        return None
    return f"lies outside what is searched, {legal(setting)}. Received: {value!r}."


def _depth_problem(
    configuration: Mapping[str, Value], settings: Mapping[str, Setting]
) -> str | None:
    """Says for which cut `unfreeze` asks for more segments than were embedded below it."""
    setting = settings["unfreeze"]
    if not isinstance(setting, SegmentRange):
        return None
    wanted = int(configuration["unfreeze"])
    # Of a cut that there is not, its own name says so.
    asked = configuration.get("cut")
    counts = {cut: n for cut, n in setting.num_below.items() if asked is None or cut == asked}
    shallow = [f"{count} below {cut}" for cut, count in counts.items() if count < wanted]
    if not shallow:
        return None
    return (
        f"reaches below the embedded cuts: {', '.join(shallow)}. Received: {wanted}. Name another "
        "`cut` beside it, or embed lower ones."
    )
