"""Queued configurations whose cut is named by its role, since the plan chooses the cuts.

A queue in `params.yaml` is written before anybody knows which layers will be embedded. So its
entries may say `cut: first`, `cut: highest` or `cut: lower`.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.features.manifest import Cuts
from pipeline.hyperparameter import Value
from pipeline.search.configurations import configuration_problems
from pipeline.search.space import SearchSpace

logger = logging.getLogger(__name__)

ROLES: Final = ("first", "highest", "lower")
"""The plan's best, or else the highest; of the single layers that a head may stand on the highest;
the next one below that."""


def head_cuts(cuts: Cuts) -> list[str]:
    """Returns the cuts that a head may stand on, the plan's best first.

    The others were kept for phase 2 to start from. Where no entry has a rank, heads may stand on
    all, and the highest is first.

    Args:
        cuts: Of the manifest.
    """
    ranks = {name: entry.rank for name, entry in cuts.items() if entry.rank is not None}
    if ranks:
        return sorted(ranks, key=lambda name: ranks[name])
    return sorted(cuts, key=lambda name: -cuts[name].num_parameters_below)


def cut_of_role(role: str, cuts: Cuts) -> str | None:
    """Returns the cut that a role means, or None if there is none.

    Args:
        role: One of `ROLES`.
        cuts: Of the manifest.
    """
    heads = head_cuts(cuts)
    if role == "first":
        return heads[0]
    single = [name for name in heads if len(cuts[name].parts) < 2]
    single.sort(key=lambda name: cuts[name].num_parameters_below, reverse=True)
    place = ("highest", "lower").index(role)
    return single[place] if place < len(single) else None


def without_roles(enqueue: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
    """Returns queued configurations without the cuts that are named by a role."""
    return [
        {key: value for key, value in queued.items() if key != "cut" or value not in ROLES}
        for queued in enqueue
    ]


def with_named_cuts(
    enqueue: Sequence[Mapping[str, Value]], cuts: Cuts, space: SearchSpace
) -> list[dict[str, Value]]:
    """Returns queued configurations with the cuts' names in the place of their roles.

    One whose role nothing has, or which unfreezes more than was embedded below its cut, is left
    out, and the log says so: which cuts there are was not known when it was written. One that comes
    out like another is left out, too.

    Args:
        enqueue: As in `params.yaml`.
        cuts: Of the manifest.
        space: Of the study, with its cuts.
    """
    named: list[dict[str, Value]] = []
    for place, queued in enumerate(enqueue):
        role = queued.get("cut")
        if role not in ROLES:
            named.append(dict(queued))
            continue
        cut = cut_of_role(role, cuts)
        if cut is None:
            logger.info("enqueue.%d is left out: no further cut is the %s one", place, role)
            continue
        found = {**queued, "cut": cut}
        problems = configuration_problems("", found, space)
        if problems:
            logger.info("enqueue.%d is left out: %s", place, " ".join(problems))
        elif found not in named:
            named.append(found)
    return named
