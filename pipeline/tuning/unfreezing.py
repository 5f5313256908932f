"""How far down phase 2 may reach: a segment of the base lies between two embedded cuts.

Phase 2 starts from the cached features of a lower cut, so that a cut has as many segments below it
as there are embedded cuts lower in the network. Of several cuts side by side, the lowest counts: if
it was embedded by itself too, phase 2 can start from it, and trains what lies between it and them.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.hyperparameter import Value
from pipeline.training.segments import Cuts, _too_deep, lower_cuts
from pipeline.tuning.space import Choice, FloatRange, IntRange, Setting

"""The entry `cuts` of a manifest: by name, each with what `embed` found out about it."""


class SegmentRange(IntRange):
    """`unfreeze` as it is searched: at most the segments that there are below the chosen cut."""

    num_below: dict[str, int]

    def narrowed(self, values: Mapping[str, Value]) -> IntRange | int:
        most = min(self.high, self.num_below[str(values["cut"])])
        high = most - (most - self.low) % self.step
        if high <= self.low:
            return self.low
        return IntRange(type="int", low=self.low, high=high, log=self.log, step=self.step)


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
