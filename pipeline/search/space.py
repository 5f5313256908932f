"""The space of a study: what is searched or fixed, and the value of everything else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import ConfigError
from pipeline.features.manifest import Cuts
from pipeline.hyperparameter import Value
from pipeline.registry import unknown_name
from pipeline.search.distributions import (
    Choice,
    FloatRange,
    IntRange,
    SegmentRange,
    Setting,
    Trial,
    legal,
    most_segments,
    parse_setting,
    searched,
)
from pipeline.training.hyperparameters import HYPERPARAMETERS
from pipeline.training.segments import lower_cuts, too_deep
from pipeline.trials.identity import SpaceDescription


@dataclass(frozen=True)
class SearchSpace:
    """What the trials of a study can be.

    Attributes:
        settings: By hyperparameter the distribution that is searched or the one value, in the order
            of the table `HYPERPARAMETERS`, in which they are asked: so a condition is known before
            what depends on it.
        defaults: The value of every hyperparameter that `settings` does not name.
    """

    settings: Mapping[str, Setting]
    defaults: Mapping[str, Value]

    @classmethod
    def parse(cls, written: Mapping[str, object], defaults: Mapping[str, Value]) -> "SearchSpace":
        """Reads `studies.NAME.space`.

        Raises:
            ValueError: If a hyperparameter is unknown, a distribution is malformed, or it could
                yield a value that is not legal.
        """
        parsed = {name: parse_setting(name, setting) for name, setting in written.items()}
        return cls({name: parsed[name] for name in HYPERPARAMETERS if name in parsed}, defaults)

    @property
    def searched(self) -> dict[str, FloatRange | IntRange | Choice]:
        """The distributions among the settings."""
        return searched(self.settings)

    @property
    def can_unfreeze(self) -> bool:
        """Whether any trial can train layers of the base, in a phase 2."""
        return most_segments(self._setting("unfreeze")) > 0

    @property
    def can_stay_frozen(self) -> bool:
        """Whether any trial can leave the base as it is."""
        setting = self._setting("unfreeze")
        if isinstance(setting, IntRange | Choice | FloatRange):
            return setting.holds(0)
        return setting == 0

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Asks for every hyperparameter that exists, and for no other.

        Args:
            trial: Answers; an `optuna.Trial` or the like.

        Returns:
            Every active hyperparameter, in the table's order.
        """
        values: dict[str, Value] = {}
        for name, spec in HYPERPARAMETERS.items():
            if not spec.is_active(values):
                continue
            setting = self._setting(name)
            if isinstance(setting, IntRange):
                setting = setting.narrowed(values)
            is_fixed = isinstance(setting, str | int | float | bool)
            values[name] = setting if is_fixed else setting.suggest(trial, name)  # type: ignore
        return values

    def allows(self, values: Mapping[str, Value]) -> bool:
        """Whether the cut of some values has as many segments below it as they unfreeze.

        Args:
            values: Of all that is searched.
        """
        setting = self.settings.get("unfreeze")
        if not isinstance(setting, SegmentRange):
            return True
        known: dict[str, Any] = {**self.settings, **values}
        left, wanted = setting.narrowed(known), values["unfreeze"]
        return left.holds(wanted) if isinstance(left, IntRange) else bool(left == wanted)

    def can_exist(self, name: str) -> bool:
        """Whether any trial can have a hyperparameter."""
        return inactive_problem(name, {**self.defaults, **self.settings}) is None

    def describe(self) -> SpaceDescription:
        """Returns the space as plain data, for its record and its identity."""
        searched = {name: setting.model_dump() for name, setting in self.searched.items()}
        fixed = {
            name: value
            for name, value in {**self.defaults, **self.settings}.items()
            # What no trial can have tells none of them apart.
            if isinstance(value, str | int | float | bool) and self.can_exist(name)
        }
        return SpaceDescription(searched=searched, fixed=fixed, can_unfreeze=self.can_unfreeze)

    def with_cuts(self, cuts: list[str]) -> "SearchSpace":
        """Returns the space in which the cut is one of those that were embedded.

        Args:
            cuts: What the base's manifest lists.

        Raises:
            ConfigError: If a cut is asked for that was not embedded.
        """
        setting = self._setting("cut")
        if setting == "auto":
            several = len(cuts) > 1
            return self._with(cut=Choice(type="choice", choices=list(cuts)) if several else cuts[0])
        asked = setting.choices if isinstance(setting, Choice) else [setting]
        for cut in asked:
            if cut not in cuts:
                raise ConfigError(
                    f"{unknown_name('cut', str(cut), cuts)} Only embedded cuts can be searched: "
                    "see embed.bases in params.yaml and `python -m pipeline cuts`."
                )
        return self._with(cut=setting)

    def with_segments(self, cuts: Cuts) -> "SearchSpace":
        """Returns the space in which `unfreeze` reaches no lower than the embedded cuts do.

        Args:
            cuts: Of the base's manifest.

        Raises:
            ConfigError: If a cut has fewer segments below it than are to be unfrozen for certain,
                or none has any.
        """
        if not self.can_unfreeze:
            return self
        setting, cut = self._setting("unfreeze"), self.settings["cut"]
        chosen = [str(name) for name in (cut.choices if isinstance(cut, Choice) else [cut])]
        num_below = {name: len(lower_cuts(cuts, name)) for name in chosen}
        needed = setting.low if isinstance(setting, IntRange) else most_segments(setting)
        for name, count in num_below.items():
            if count < needed:
                raise ConfigError(too_deep(name, count, received=needed))
        if not isinstance(setting, IntRange):
            return self
        if not any(num_below.values()):
            raise ConfigError(too_deep(" and ".join(chosen), 0, received=setting.high))
        return self._with(unfreeze=SegmentRange(**setting.model_dump(), num_below=num_below))

    def without_unfreezing(self) -> "SearchSpace":
        """Returns the space of the trials that leave the base as it is."""
        return self._with(unfreeze=0)

    def _with(self, **settings: Setting) -> "SearchSpace":
        return replace(self, settings={**self.settings, **settings})

    def _setting(self, name: str) -> Setting:
        return self.settings[name] if name in self.settings else self.defaults[name]


def inactive_problem(name: str, values: Mapping[str, object]) -> str | None:
    """Says why a hyperparameter cannot exist beside others, or None.

    Args:
        name: Of the hyperparameter.
        values: Of the others; some may be distributions.
    """
    for condition, wanted in HYPERPARAMETERS[name].active_when.items():
        value = values.get(condition)
        if isinstance(value, FloatRange | IntRange | Choice):
            is_possible = any(value.holds(one) for one in wanted)
            given = f"a study that searches {condition} over {legal(value)}"
        else:
            is_possible = any(value == one for one in wanted)
            given = f"{condition}={value!r}"
        if not is_possible or inactive_problem(condition, values):
            needed = " or ".join(sorted(str(one) for one in wanted))
            return f"exists only where {condition} is {needed}. Received: {given}."
    return None
