"""What a hyperparameter is: its kind, its legal values, and when it exists at all.

One is declared beside what reads it, mostly through the short constructors below; see
`training.hyperparameters`, which collects them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Value = str | int | float | bool
Hyperparameters = Mapping[str, Value]
Conditions = Mapping[str, frozenset[Value]]

ALWAYS: Final[Conditions] = {}


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One thing that a trial can be told.

    Attributes:
        kind: `int` and `float` are numbers in [low, high]; `category` is one of `choices`;
            `name` is any text, checked where it is used (a cut of the base).
        help: Meaning, unit and source in one line; shown by `check --help` and in the
            params reference.
        low: Smallest legal number; exclusive if `low_exclusive`.
        high: Largest legal number; exclusive if `high_exclusive`.
        choices: Legal values of a category, and legal words beside the numbers of an `int`.
        active_when: Exists only where each named hyperparameter has one of these values.
        demonstrated: Choices that can only fail: `python -m pipeline lecture` shows it, and
            `params.yaml` may not have them.
        former: What trials had that say nothing of it, since there was no such thing; None: there
            are none.
    """

    kind: Literal["int", "float", "category", "name"]
    help: str
    low: float | None = None
    high: float | None = None
    low_exclusive: bool = False
    high_exclusive: bool = False
    choices: tuple[Value, ...] = ()
    active_when: Conditions = field(default_factory=dict)
    demonstrated: tuple[Value, ...] = ()
    former: Value | None = None

    def is_active(self, values: Hyperparameters) -> bool:
        """Whether this hyperparameter exists beside `values`, which hold the earlier ones."""
        return all(values.get(name) in wanted for name, wanted in self.active_when.items())

    def problem(self, value: object) -> str | None:
        """Says what is wrong with a value, or None."""
        if self.kind == "name":
            is_name = isinstance(value, str) and value
            return None if is_name else "must be a name, or a list of different ones"
        # 1 == True in Python, and neither stands for the other here.
        if any(value == choice and type(value) is type(choice) for choice in self.choices):
            return None
        if self.kind == "category":
            return f"must be one of {', '.join(map(str, self.choices))}"
        return self._number_problem(value)

    def _number_problem(self, value: object) -> str | None:
        allowed = int if self.kind == "int" else (int, float)
        if not isinstance(value, allowed) or isinstance(value, bool):
            words = "".join(f" or {word!r}" for word in self.choices)
            return f"must be {'an integer' if self.kind == 'int' else 'a number'}{words}"
        return None if self._contains(float(value)) else f"must lie in {self.interval}"

    def _contains(self, value: float) -> bool:
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        above = value > low if self.low_exclusive else value >= low
        below = value < high if self.high_exclusive else value <= high
        return above and below

    @property
    def interval(self) -> str:
        """The legal numbers, as in `[0, 1)`."""
        left = "(" if self.low_exclusive or self.low is None else "["
        right = ")" if self.high_exclusive or self.high is None else "]"
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{left}{low}, {high}{right}"


def choice(
    *choices: Value,
    help: str,
    active_when: Conditions = ALWAYS,
    demonstrated: tuple[Value, ...] = (),
    former: Value | None = None,
) -> Hyperparameter:
    """Returns a hyperparameter that is one of several values."""
    return Hyperparameter(
        kind="category",
        choices=choices,
        help=help,
        active_when=active_when,
        demonstrated=demonstrated,
        former=former,
    )


def count(
    help: str,
    *,
    low: int = 1,
    high: int | None = None,
    words: tuple[str, ...] = (),
    active_when: Conditions = ALWAYS,
) -> Hyperparameter:
    """Returns a hyperparameter that is a whole number in [low, high], or one of some words."""
    return Hyperparameter(
        kind="int", low=low, high=high, choices=words, help=help, active_when=active_when
    )


def positive(
    help: str, *, high: float | None = None, active_when: Conditions = ALWAYS
) -> Hyperparameter:
    """Returns a hyperparameter that is a number in (0, high]."""
    return Hyperparameter(
        kind="float", low=0, low_exclusive=True, high=high, help=help, active_when=active_when
    )


def non_negative(
    help: str, *, high: float | None = None, active_when: Conditions = ALWAYS
) -> Hyperparameter:
    """Returns a hyperparameter that is a number in [0, high]."""
    return Hyperparameter(kind="float", low=0, high=high, help=help, active_when=active_when)


def unit_interval(
    help: str, *, low_exclusive: bool = False, active_when: Conditions = ALWAYS
) -> Hyperparameter:
    """Returns a hyperparameter that is a share in [0, 1): never all, and something if exclusive."""
    return Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=low_exclusive,
        high=1,
        high_exclusive=True,
        help=help,
        active_when=active_when,
    )


def where(**conditions: Value | tuple[Value, ...]) -> dict[str, frozenset[Value]]:
    """Returns the condition that each named hyperparameter has one of these values.

    >>> where(dropout="last", num_layers=(1, 2))["num_layers"] == {1, 2}
    True
    """
    return {
        name: frozenset(wanted if isinstance(wanted, tuple) else (wanted,))
        for name, wanted in conditions.items()
    }
