"""How far down phase 2 may reach: a segment of the base lies between two embedded cuts.

Phase 2 starts from the cached features of a lower cut, so that a cut has as many segments below it
as there are embedded cuts lower in the network. Of several cuts side by side, the lowest counts: if
it was embedded by itself too, phase 2 can start from it, and trains what lies between it and them.
"""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.errors import ConfigError
from pipeline.hyperparameter import Value
from pipeline.tuning.space import Choice, FloatRange, IntRange, Setting

MIN_EPOCHS_OF_TWO_PHASES: Final = 2
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
    whole = {
        name: _height(entry)
        for name, entry in sorted(cuts.items())
        if name != cut and entry.get("pooling", "none") == "none" and "parts" not in entry
    }
    if not whole:
        return []
    lowest, *others = sorted(cuts[cut].get("parts", [cuts[cut]]), key=_height)
    # Of two between which no layer has a weight, either may be the lower one.
    is_below = bool(others) and _height(lowest) < _height(others[0])
    nearest = [lowest["cut"]] if is_below and lowest["cut"] in whole else []
    below = {height: name for name, height in whole.items() if height < _height(lowest)}
    return nearest + [below[height] for height in sorted(below, reverse=True)]


def _height(entry: Mapping[str, Any]) -> int:
    return int(entry["num_parameters_below"])


def phase_2_starts(cuts: Cuts, hyperparameters: Mapping[str, Value]) -> list[str]:
    """Returns the cuts that phase 2 of a trial can start from, the nearest first.

    Of whole segments it is one. Where layers are counted it is the nearest with enough layers
    above it, and only the base tells which that is: every lower cut may be.

    Args:
        cuts: Of the manifest.
        hyperparameters: A trial's active ones.

    Returns:
        None of them where the trial has no phase 2.

    Raises:
        ConfigError: If fewer cuts were embedded below the trial's own than it unfreezes segments.
    """
    num_segments = int(hyperparameters.get("unfreeze", 0))
    if not num_segments:
        return []
    cut = str(hyperparameters["cut"])
    lower = lower_cuts(cuts, cut)
    if num_segments > len(lower):
        raise ConfigError(_too_deep(cut, len(lower), received=num_segments))
    is_counted = num_layers(hyperparameters) is not None
    return lower if is_counted else [lower[num_segments - 1]]


def num_layers(hyperparameters: Mapping[str, Value]) -> int | None:
    """Returns how many of the last layers with weights phase 2 trains; None: all it reaches."""
    # Asked for where one segment is unfrozen; of more, all layers are trained.
    wanted = hyperparameters.get("unfreeze_layers", "all")
    return None if wanted == "all" else int(wanted)


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


def _too_deep(cut: str, count: int, *, received: int) -> str:
    return (
        f"unfreeze needs as many embedded cuts below {cut} as segments, and there are {count}. "
        f"Received: unfreeze={received}. Add lower cuts to embed.bases in params.yaml, search "
        "higher ones, or unfreeze less."
    )
