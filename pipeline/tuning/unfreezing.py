"""How far down phase 2 may reach: a segment of the base lies between two embedded cuts.

Phase 2 starts from the cached features of a lower cut, so that a cut has as many segments below it
as there are embedded cuts lower in the network.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.tuning.hyperparameters import Value
from pipeline.tuning.space import Choice, FloatRange, IntRange, Setting

Cuts = Mapping[str, Mapping[str, Any]]
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


def lower_cuts(cuts: Cuts, cut: str) -> list[str]:
    """Returns the embedded cuts that phase 2 can start from, the nearest first.

    Of several between which no layer has a weight, one counts. A cut whose maps were pooled when
    they were embedded is none: the layers above it need the whole maps.
    """
    below = {
        int(entry["num_parameters_below"]): name
        for name, entry in sorted(cuts.items())
        if name != cut and entry.get("pooling", "none") == "none"
    }
    top = int(cuts[cut]["num_parameters_below"]) if below else 0
    return [below[count] for count in sorted(below, reverse=True) if count < top]


def lower_cut(cuts: Cuts, cut: str, *, num_segments: int) -> str:
    """Returns the cut that so many segments below a cut begin at.

    Args:
        cuts: Of the manifest.
        cut: One of them.
        num_segments: `unfreeze`, >= 1.

    Raises:
        ConfigError: If fewer cuts were embedded below it.
    """
    lower = lower_cuts(cuts, cut)
    if num_segments > len(lower):
        raise ConfigError(_too_deep(cut, len(lower), received=num_segments))
    return lower[num_segments - 1]


def can_unfreeze(settings: Mapping[str, Setting], defaults: Mapping[str, Value]) -> bool:
    """Whether any trial of these settings can have a phase 2."""
    return _most(settings.get("unfreeze", defaults["unfreeze"])) > 0


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
    needed = setting.low if isinstance(setting, IntRange) else _most(setting)
    for name, count in num_below.items():
        if count < needed:
            raise ConfigError(_too_deep(name, count, received=needed))
    if not isinstance(setting, IntRange):
        return dict(settings)
    if not any(num_below.values()):
        raise ConfigError(_too_deep(" and ".join(chosen), 0, received=setting.high))
    return {**settings, "unfreeze": SegmentRange(**setting.model_dump(), num_below=num_below)}


def _most(setting: Setting) -> int:
    ends = setting.ends() if isinstance(setting, FloatRange | IntRange | Choice) else [setting]
    return max(int(end) for end in ends)


def _too_deep(cut: str, count: int, *, received: int) -> str:
    return (
        f"unfreeze needs as many embedded cuts below {cut} as segments, and there are {count}. "
        f"Received: unfreeze={received}. Add lower cuts to embed.bases in params.yaml, search "
        "higher ones, or unfreeze less."
    )
