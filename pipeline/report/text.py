"""Numbers as text, the same way wherever the report shows them."""

from collections.abc import Sequence

from pipeline.evaluation.intervals import Interval
from pipeline.hyperparameter import Value
from pipeline.report.summary import SearchSummary
from pipeline.trials.bounds import Distribution
from pipeline.trials.candidate import CandidateRecord

DASH = "\N{EM DASH}"
LONGEST_NAME = 20
"""Characters below an axis."""


def decimals(n: int) -> int:
    """Returns how many decimals of a percentage n examples can tell apart."""
    return 2 if n >= 1_000 else 1


def points(share: float, n: int) -> str:
    """Returns a difference of shares in percentage points.

    >>> points(0.0561, 10_000), points(-0.000001, 10_000)
    ('5.61', '0.00')
    """
    text = f"{100 * share:.{decimals(n)}f}"
    return text if float(text) else text.removeprefix("-")


def percent(share: float, n: int) -> str:
    """Returns a share as a percentage, with as many decimals as n examples can tell apart.

    >>> percent(0.94531, 10_000), percent(0.9, 60)
    ('94.53%', '90.0%')
    """
    return f"{points(share, n)}%"


def searched_value(one: CandidateRecord, summary: SearchSummary) -> str:
    """Returns what a candidate had reached in its search, and by what part of a training."""
    parts = round(1 / one.search_share)
    by = "" if parts == 1 else f" by 1/{parts}"
    return f"{objective_value(one.search_value, summary)}{by}"


def objective_value(value: float | None, summary: SearchSummary) -> str:
    """Returns a value of the search's objective: a share as a percentage, a loss as it is."""
    if value is None:
        return DASH
    return f"{100 * value:.2f}%" if summary.is_share else f"{value:.4f}"


def mean_and_deviation(mean: float, std: float | None, summary: SearchSummary) -> str:
    """Returns `94.80% ± 0.12%`, or the mean alone where one training has no deviation."""
    deviation = "" if std is None else f" \N{PLUS-MINUS SIGN} {objective_value(std, summary)}"
    return objective_value(mean, summary) + deviation


def interval(metric: Interval, *, is_share: bool) -> tuple[str, str]:
    """Returns a metric's value, and its 95% interval as `low to high`."""
    low, high, n = metric.low, metric.high, metric.n
    if is_share:
        return percent(metric.value, n), f"{points(low, n)} to {percent(high, n)}"
    return f"{metric.value:.4f}", f"{low:.4f} to {high:.4f}"


def hyperparameter(value: Value) -> str:
    """Returns a hyperparameter's value with at most four digits.

    >>> hyperparameter(0.00123456), hyperparameter(True), hyperparameter("relu")
    ('0.001235', 'true', 'relu')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short_names(choices: Sequence[Value]) -> list[str]:
    """Returns choices as they fit below an axis: of cuts side by side the first and a count.

    What could then not be told apart is numbered.

    >>> short_names(["block3_add:grid4+block6_add:none+avg_pool:none", "relu", 1e6])
    ['block3_add:grid4 +2', 'relu', '1e+06']
    >>> short_names(["a:grid2+b:none", "a:grid2+c:none"])
    ['a:grid2 +1 (1)', 'a:grid2 +1 (2)']
    """
    names = [_short(one) if isinstance(one, str) else hyperparameter(one) for one in choices]
    return [
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def among(value: Value, choices: Sequence[Value]) -> str:
    """Returns a value as a table shows it: where it is one of some choices, by its short name.

    >>> among("block3_add:grid4+avg_pool:none", ["relu", "block3_add:grid4+avg_pool:none"])
    'block3_add:grid4 +1'
    """
    names = dict(zip(map(hyperparameter, choices), short_names(choices), strict=True))
    return names.get(hyperparameter(value), hyperparameter(value))


def _short(name: str) -> str:
    first, *others = name.split("+")
    is_long = len(first) > LONGEST_NAME
    cut = f"{first[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}" if is_long else first
    return f"{cut} +{len(others)}" if others else cut


def describe_distribution(distribution: Distribution) -> str:
    """Returns a range in words.

    >>> describe_distribution(Distribution(type="float", low=0.001, high=0.1, log=True))
    '0.001 to 0.1, log scale'
    """
    if distribution.type == "choice":
        return ", ".join(hyperparameter(choice) for choice in distribution.choices)
    scale = ", log scale" if distribution.log else ""
    return f"{distribution.low:g} to {distribution.high:g}{scale}"


def duration(seconds: float) -> str:
    """Returns a time in words.

    >>> duration(7.4), duration(200), duration(900), duration(7_300)
    ('7 s', '3 min 20 s', '15 min', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def capitalized(name: str) -> str:
    """Returns a name as it begins a sentence; the rest of it stays as it is."""
    return name[:1].upper() + name[1:]
