"""Search-space distributions, as written in `params.yaml` and as asked of an Optuna trial."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, RootModel, model_validator

from pipeline.config import Section
from pipeline.hyperparameter import Hyperparameter, Value
from pipeline.registry import unknown_name
from pipeline.training.hyperparameters import HYPERPARAMETERS, named


class Trial(Protocol):
    """The part of `optuna.Trial` that a search space needs."""

    def suggest_float(self, name: str, low: float, high: float, **kwargs: Any) -> float:
        """Asks for a number."""

    def suggest_int(self, name: str, low: int, high: int, **kwargs: Any) -> int:
        """Asks for a whole number."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Asks for one of `choices`."""


def _check_bounds(low: float, high: float, log: bool) -> None:
    if low >= high:
        raise ValueError(f"low < high must hold. Received: low={low}, high={high}.")
    if log and low <= 0:
        raise ValueError(f"low > 0 must hold when log is true. Received: low={low}.")


def _check_step(low: float, high: float, *, log: bool, step: float) -> None:
    if log:
        raise ValueError(f"log and step exclude each other. Received: step={step}.")
    num_steps = (high - low) / step
    if not math.isclose(num_steps, round(num_steps), abs_tol=1e-9):
        raise ValueError(
            "high must be low plus a multiple of step. "
            f"Received: low={low}, high={high}, step={step}."
        )


class FloatRange(Section):
    """A number in [low, high]; uniform in its logarithm if `log`, else in steps of `step`."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> "FloatRange":
        _check_bounds(self.low, self.high, self.log)
        if self.step is not None:
            _check_step(self.low, self.high, log=self.log, step=self.step)
        return self

    def suggest(self, trial: Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def grid(self) -> list[float] | None:
        """Every value, or None if there is no end of them."""
        if self.step is None:
            return None
        count = round((self.high - self.low) / self.step) + 1
        return [self.low + position * self.step for position in range(count)]

    def ends(self) -> list[Value]:
        return [self.low, self.high]

    def holds(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        grid = self.grid()
        on_grid = grid is None or any(math.isclose(value, point) for point in grid)
        return self.low <= value <= self.high and on_grid


class IntRange(Section):
    """A whole number in [low, high]; uniform in its logarithm if `log`, else in steps of `step`."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> "IntRange":
        _check_bounds(self.low, self.high, self.log)
        if self.step != 1:
            _check_step(self.low, self.high, log=self.log, step=self.step)
        return self

    def suggest(self, trial: Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step)

    def narrowed(self, _: Mapping[str, Value]) -> "IntRange | int":
        """Returns what is left of the range beside the values that are known already."""
        return self

    def grid(self) -> list[int]:
        """Every value."""
        return list(range(self.low, self.high + 1, self.step))

    def ends(self) -> list[Value]:
        return [self.low, self.high]

    def holds(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


class Choice(Section):
    """One of a list of values."""

    type: Literal["choice"]
    choices: list[str | int | float | bool] = Field(min_length=1)

    @model_validator(mode="after")
    def _choices_differ(self) -> "Choice":
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError(f"choices must differ. Received: choices={self.choices}.")
        return self

    def suggest(self, trial: Trial, name: str) -> Value:
        chosen: Value = trial.suggest_categorical(name, self.choices)
        return chosen

    def grid(self) -> list[Value]:
        """Every value."""
        return list(self.choices)

    def ends(self) -> list[Value]:
        return list(self.choices)

    def holds(self, value: object) -> bool:
        return any(value == choice and type(value) is type(choice) for choice in self.choices)


Distribution = Annotated[FloatRange | IntRange | Choice, Field(discriminator="type")]


Setting = Value | FloatRange | IntRange | Choice


def _name_problem(name: str) -> str | None:
    if name in HYPERPARAMETERS:
        return None
    return unknown_name("hyperparameter", name, list(HYPERPARAMETERS))


def _value_problem(name: str, value: object) -> str | None:
    problem = _name_problem(name) or HYPERPARAMETERS[name].problem(value)
    if problem is None and value in HYPERPARAMETERS[name].demonstrated:
        problem = "can only fail so, which `python -m pipeline lecture` shows"
    return problem and f"{problem.rstrip('.')}. Received: {value!r}"


class Fixed(RootModel[dict[str, Any]]):
    """Hyperparameters by name, each with one value; every one must be legal."""

    @model_validator(mode="before")
    @classmethod
    def _name_lists(cls, written: object) -> object:
        return named(written) if isinstance(written, dict) else written

    @model_validator(mode="after")
    def _values_are_legal(self) -> "Fixed":
        problems = [f"{n}: {p}" for n, v in self.root.items() if (p := _value_problem(n, v))]
        if problems:
            raise ValueError("; ".join(problems))
        return self


class _Parsed(RootModel[Distribution]):
    pass


def parse_setting(name: str, written: object) -> Setting:
    """Reads one entry of a space.

    Raises:
        ValueError: If the hyperparameter is unknown, the distribution is malformed, or it could
            yield a value that is not legal; `pydantic.ValidationError` is one.
    """
    if problem := _name_problem(name):
        raise ValueError(problem)
    written = named({name: written})[name]
    if not isinstance(written, dict):
        if problem := _value_problem(name, written):
            raise ValueError(problem)
        return written  # type: ignore[return-value]
    distribution = _Parsed.model_validate(written).root
    _check_kind(HYPERPARAMETERS[name], distribution)
    for end in distribution.ends():
        if problem := _value_problem(name, end):
            raise ValueError(problem)
    return distribution


def _check_kind(spec: Hyperparameter, distribution: FloatRange | IntRange | Choice) -> None:
    fits = {
        "int": ("int", "choice"),
        "float": ("float", "choice"),
        "category": ("choice",),
        "name": ("choice",),
    }[spec.kind]
    if distribution.type not in fits:
        raise ValueError(f"type must be {' or '.join(fits)}. Received: type={distribution.type!r}.")


class SegmentRange(IntRange):
    """`unfreeze` as it is searched: at most the segments that there are below the chosen cut."""

    num_below: dict[str, int]

    def narrowed(self, values: Mapping[str, Value]) -> IntRange | int:
        most = min(self.high, self.num_below[str(values["cut"])])
        high = most - (most - self.low) % self.step
        if high <= self.low:
            return self.low
        return IntRange(type="int", low=self.low, high=high, log=self.log, step=self.step)


def searched(settings: Mapping[str, Setting]) -> dict[str, FloatRange | IntRange | Choice]:
    """Returns the distributions among `settings`."""
    return {n: s for n, s in settings.items() if isinstance(s, FloatRange | IntRange | Choice)}


def most_segments(setting: Setting) -> int:
    """Returns the largest value that `unfreeze` can have, of one as it is searched or fixed."""
    ends = setting.ends() if isinstance(setting, FloatRange | IntRange | Choice) else [setting]
    return max(int(end) for end in ends)


def legal(setting: FloatRange | IntRange | Choice) -> str:
    """Returns in words what a distribution can give, such as `1 to 9 in steps of 2`."""
    if isinstance(setting, Choice):
        return f"one of {', '.join(map(str, setting.choices))}"
    step = f" in steps of {setting.step:g}" if setting.step not in (None, 1) else ""
    return f"{setting.low:g} to {setting.high:g}{step}"
