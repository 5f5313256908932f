"""Search-space distributions, as written in `params.yaml` and as asked of an Optuna trial.

The field names are Optuna's (`low`, `high`, `log`, `step`, `choices`); bounds are inclusive. A
hyperparameter that is written as a plain value is fixed to it.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import RootModel

from pipeline.errors import ConfigError
from pipeline.hyperparameter import Value
from pipeline.search.distributions import (
    Choice,
    FloatRange,
    IntRange,
    SegmentRange,
    Setting,
    Trial,
    parse_setting,
)
from pipeline.training.hyperparameters import HYPERPARAMETERS
from pipeline.training.segments import Cuts, _too_deep, lower_cuts


class SearchSpace(RootModel[dict[str, Any]]):
    """What a study searches: per hyperparameter a distribution, or a value that is fixed.

    The parsed settings are in `settings`, in the order of the table `HYPERPARAMETERS`, which is
    the order they are asked in, so that a condition is known before what depends on it.
    """

    @property
    def settings(self) -> dict[str, Setting]:
        parsed = {name: parse_setting(name, written) for name, written in self.root.items()}
        return {name: parsed[name] for name in HYPERPARAMETERS if name in parsed}


def suggest(
    settings: Mapping[str, Setting], defaults: Mapping[str, Value], trial: Trial
) -> dict[str, Value]:
    """Asks `trial` for every hyperparameter that exists, and for no other.

    Args:
        settings: What the study searches or fixes.
        defaults: The value of everything that `settings` does not name.
        trial: Answers; an `optuna.Trial` or the like.

    Returns:
        Every active hyperparameter, in the table's order.
    """
    values: dict[str, Value] = {}
    for name, spec in HYPERPARAMETERS.items():
        if not spec.is_active(values):
            continue
        setting = settings.get(name, defaults.get(name))
        if setting is None:
            raise KeyError(name)
        if isinstance(setting, IntRange):
            setting = setting.narrowed(values)
        is_fixed = isinstance(setting, str | int | float | bool)
        values[name] = setting if is_fixed else setting.suggest(trial, name)  # type: ignore
    return values


def searched(settings: Mapping[str, Setting]) -> dict[str, FloatRange | IntRange | Choice]:
    """Returns the distributions among `settings`."""
    return {n: s for n, s in settings.items() if isinstance(s, FloatRange | IntRange | Choice)}


def describe_space(settings: Mapping[str, Setting]) -> dict[str, dict[str, Any]]:
    """Returns the searched distributions as plain data, for `study.json` and the identity."""
    return {name: setting.model_dump() for name, setting in searched(settings).items()}


"""The entry `cuts` of a manifest: by name, each with what `embed` found out about it."""


def allows(settings: Mapping[str, Setting], values: Mapping[str, Any]) -> bool:
    """Whether the cut of some values has as many segments below it as they unfreeze.

    Args:
        settings: A study's settings.
        values: Of all that it searches.
    """
    setting = settings.get("unfreeze")
    if not isinstance(setting, SegmentRange):
        return True
    known: dict[str, Any] = {**settings, **values}
    left, wanted = setting.narrowed(known), values["unfreeze"]
    return left.holds(wanted) if isinstance(left, IntRange) else bool(left == wanted)


def can_unfreeze(settings: Mapping[str, Setting], defaults: Mapping[str, Value]) -> bool:
    """Whether any trial of these settings can have a phase 2."""
    setting = settings["unfreeze"] if "unfreeze" in settings else defaults["unfreeze"]
    return most_segments(setting) > 0


def with_segments(
    settings: Mapping[str, Setting], defaults: Mapping[str, Value], cuts: Cuts
) -> dict[str, Setting]:
    """Returns settings in which `unfreeze` reaches no lower than the embedded cuts do.

    Args:
        settings: A study's settings, with its cuts.
        defaults: The value of everything they do not name.
        cuts: Of the base's manifest.

    Raises:
        ConfigError: If a cut has fewer segments below it than are to be unfrozen for certain, or
            none has any.
    """
    if not can_unfreeze(settings, defaults):
        return dict(settings)
    setting = settings.get("unfreeze", defaults["unfreeze"])
    cut = settings["cut"]
    chosen = [str(name) for name in (cut.choices if isinstance(cut, Choice) else [cut])]
    num_below = {name: len(lower_cuts(cuts, name)) for name in chosen}
    needed = setting.low if isinstance(setting, IntRange) else most_segments(setting)
    for name, count in num_below.items():
        if count < needed:
            raise ConfigError(_too_deep(name, count, received=needed))
    if not isinstance(setting, IntRange):
        return dict(settings)
    if not any(num_below.values()):
        raise ConfigError(_too_deep(" and ".join(chosen), 0, received=setting.high))
    return {**settings, "unfreeze": SegmentRange(**setting.model_dump(), num_below=num_below)}


def most_segments(setting: Setting) -> int:
    """Returns the largest value that `unfreeze` can have, of one as it is searched or fixed."""
    ends = setting.ends() if isinstance(setting, FloatRange | IntRange | Choice) else [setting]
    return max(int(end) for end in ends)
