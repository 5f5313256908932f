"""What a study needs of the other sections of `params.yaml`, as far as they say it themselves.

`search.params.embedded_space` and the workers apply these rules to the base as it was embedded.
Here nothing has run yet, so that a rule speaks only where no base could make it right.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.bases.table import NO_BASE
from pipeline.features.joined_cuts import cut_name, is_layer, layers_named
from pipeline.hyperparameter import Value
from pipeline.registry import unknown_name
from pipeline.search.distributions import (
    Choice,
    FloatRange,
    IntRange,
    Setting,
    most_segments,
    searched,
)
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import named
from pipeline.training.segments import MIN_EPOCHS_OF_TWO_PHASES

AUTO = "auto"
RAY_IS_MISSING = (
    "ray needs Ray: run pip install -e \".[ray]\" in the checkout. Received: executor='ray'."
)


def problems_between(
    where: str,
    *,
    base: str,
    settings: Mapping[str, Setting],
    enqueue: Sequence[Mapping[str, Value]],
    document: Mapping[str, object],
) -> list[str]:
    """Lists what keeps a study from being searched beside the other sections.

    Args:
        where: The study's key, such as `studies.transfer`.
        base: What it is called by in `embed.bases`, or `none`.
        settings: What it searches or fixes, without a problem of its own.
        enqueue: Its queued configurations, likewise.
        document: All of params.yaml. What is missing or malformed there has problems elsewhere.
    """
    every = {**named(_mapping(document, "defaults")), **settings}
    if not {"cut", "unfreeze"} <= every.keys():
        return []
    problems = _batch_problems(where, every)
    if base == NO_BASE:
        return problems + _problems_without_base(where, every)
    problems += _epoch_problems(where, every, _mapping(document, "search").get("epochs"))
    entry = _mapping(_mapping(_mapping(document, "embed"), "bases"), base)
    if entry:
        problems += _cut_problems(where, every, enqueue, _Embedded.of(base, entry))
    return problems


def executor_problem(executor: object) -> str | None:
    """Says what an executor needs and is not installed, or None.

    Args:
        executor: `search.executor`.
    """
    if executor != "ray" or importlib.util.find_spec("ray") is not None:
        return None
    return RAY_IS_MISSING


@dataclass(frozen=True)
class _Embedded:
    """The cuts of a base.

    Attributes:
        base: Its key below `embed.bases`.
        listed: Their names, in any order; None: `embed` finds them.
        starts: Those of one layer each whose maps are kept whole: phase 2 can start there alone.
    """

    base: str
    listed: list[str] | None
    starts: frozenset[str]

    @classmethod
    def of(cls, base: str, entry: Mapping[str, object]) -> "_Embedded":
        cuts, pooling = entry.get("cuts"), _mapping(entry, "pooling")
        if not isinstance(cuts, list):
            return cls(base, None, frozenset())
        listed = [str(cut_name(cut)) for cut in cuts]
        whole = (name for name in listed if pooling.get(name, "none") == "none" and is_layer(name))
        return cls(base, listed, frozenset(whole))

    def most_below(self, cuts: Sequence[object]) -> int | None:
        """Returns the most segments that can lie below the lowest of some cuts; None: any number.

        Args:
            cuts: Names, or `auto`, which is all there are.
        """
        if AUTO in cuts:
            return 0
        if self.listed is None:
            return None
        feeds = [[layer for layer, _ in layers_named(str(cut))] for cut in cuts]
        alone = {feed[0] for feed in feeds if len(feed) == 1}
        beside = {layer for feed in feeds if len(feed) > 1 for layer in feed}
        # The lowest of several side by side is itself below them.
        return len(self.starts - alone - beside) + bool(self.starts & (beside - alone))


def _mapping(parent: Mapping[str, object], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _problems_without_base(where: str, settings: Mapping[str, Setting]) -> list[str]:
    cut, unfreeze = settings["cut"], settings["unfreeze"]
    problems = []
    if cut not in (AUTO, "pixels"):
        problem = f"without a base the one cut is pixels. Received: {_written(cut)}."
        problems.append(f"{where}.space.cut: {problem}")
    if unfreeze != 0:
        problem = f"without a base there is nothing to unfreeze. Received: {_written(unfreeze)}."
        problems.append(f"{where}.space.unfreeze: {problem}")
    return problems


def _written(setting: Setting) -> str:
    found = searched({"": setting})
    return repr(found[""].model_dump(exclude_defaults=True) if found else setting)


def _batch_problems(where: str, settings: Mapping[str, Setting]) -> list[str]:
    def can_be(name: str, value: Value) -> bool:
        setting = settings.get(name)
        if isinstance(setting, FloatRange | IntRange | Choice):
            return setting.holds(value)
        return bool(setting == value)

    normalizes = can_be("normalization", "before") or can_be("normalization", "after")
    if can_be("batch_size", 1) and (normalizes or can_be("normalize_first", True)):
        problem = "batch normalization has nothing to average over in batches of 1"
        received = "batch_size=1 and batch normalization"
        return [f"{where}.space.batch_size: {problem}. Received: {received}."]
    return []


def _epoch_problems(where: str, settings: Mapping[str, Setting], epochs: object) -> list[str]:
    is_enough = not isinstance(epochs, int) or epochs >= MIN_EPOCHS_OF_TWO_PHASES
    if is_enough or not SearchSpace(settings, {}).can_unfreeze:
        return []
    return [
        "search.epochs: must be 2 or more where a study unfreezes layers, since each of two phases "
        f"takes one. Received: {epochs}, and {where} with unfreeze up to "
        f"{most_segments(settings['unfreeze'])}."
    ]


def _cut_problems(
    where: str,
    settings: Mapping[str, Setting],
    enqueue: Sequence[Mapping[str, Value]],
    embedded: _Embedded,
) -> list[str]:
    cut = settings["cut"]
    chosen: list[Any] = list(cut.choices) if isinstance(cut, Choice) else [cut]
    if embedded.listed is not None:
        hint = f"Only what embed.bases.{embedded.base}.cuts lists can be searched."
        strays = [name for name in chosen if name not in (AUTO, *embedded.listed)]
        if strays:
            unknown = [unknown_name("cut", name, embedded.listed) for name in strays]
            return [f"{where}.space.cut: {text} {hint}" for text in unknown]
    if not SearchSpace(settings, {}).can_unfreeze:
        return []
    return _depth_problems(where, settings["unfreeze"], chosen, embedded) or [
        f"{where}.enqueue.{place}.unfreeze: {_too_deep(asked, most, received=queued['unfreeze'])}"
        for place, queued in enumerate(enqueue)
        for asked in [[queued["cut"]] if "cut" in queued else chosen]
        for most in [embedded.most_below(asked)]
        # What is no number has a problem of its own.
        if most is not None and isinstance(wanted := queued.get("unfreeze", 0), int)
        if wanted > most
    ]


def _depth_problems(
    where: str, unfreeze: Setting, chosen: list[Any], embedded: _Embedded
) -> list[str]:
    """Says where a study unfreezes deeper than any order of its cuts allows.

    A range is narrowed to what lies below a trial's cut, so that its lower end must hold for every
    cut, and 1 for some cut. Of a value or choices the largest must hold for every cut.
    """
    is_range = isinstance(unfreeze, IntRange)
    needed = unfreeze.low if isinstance(unfreeze, IntRange) else most_segments(unfreeze)
    most = embedded.most_below(chosen)
    if most is not None and needed > most:
        return [f"{where}.space.unfreeze: {_too_deep(chosen, most, received=needed)}"]
    every = embedded.listed if chosen == [AUTO] else chosen
    deepest = [embedded.most_below([cut]) for cut in every or []]
    if is_range and deepest and all(count == 0 for count in deepest):
        received = most_segments(unfreeze)
        return [f"{where}.space.unfreeze: {_too_deep(chosen, 0, received=received)}"]
    return []


def _too_deep(cuts: Sequence[object], most: int, *, received: object) -> str:
    lowest = "cuts: auto" if AUTO in cuts else f"the lowest of {', '.join(map(str, cuts))}"
    return (
        f"needs as many embedded cuts below the trial's own as segments, and below {lowest} there "
        f"are {most} at most. Received: unfreeze={received}. Add lower cuts to embed.bases, search "
        "higher ones, or unfreeze less."
    )
