"""The probe of learning rates at the beginning of a study's search, once for each study."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from pipeline.search.distributions import Choice
from pipeline.search.rate_probe import (
    RATE,
    ProbedRate,
    capped,
    largest_sound,
    optimizers_of,
    probe_rates,
)

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.hyperparameter import Value
    from pipeline.search.executors.base import Executor
    from pipeline.search.space import SearchSpace
    from pipeline.studies.described import DescribedStudy
    from pipeline.training.data import TrialData

logger = logging.getLogger(__name__)

PROBED: Final = "learning_rate_probe"
"""The study's attribute that keeps what was found."""


def probed_space(
    study: Study, described: DescribedStudy, data: TrialData, executor: Executor
) -> SearchSpace:
    """Returns the study's space with no learning rates above those that train.

    What was found is kept with the study: a search that goes on looks where it looked before. Rates
    that the study has queued stay.

    Args:
        study: Optuna's.
        described: What it searches.
        data: What it is trained on.
        executor: Where.
    """
    space, kept = described.space, study.user_attrs.get(PROBED)
    if kept is None:
        found = probe_rates(
            optimizers_of(space),
            _values(space),
            data,
            executor,
            num_classes=len(described.split.class_names),
        )
        kept = [asdict(one) for one in found]
        study.set_user_attr(PROBED, kept)
    rate = largest_sound([ProbedRate(**one) for one in kept])
    queued = [float(one[RATE]) for one in described.params.enqueue if RATE in one]
    highest = None if rate is None else max([rate, *queued])
    narrowed = capped(space, highest)
    if narrowed is not space:
        logger.info(
            "learning rates up to %.3g are searched: above %.3g they diverge", highest, rate
        )
    else:
        logger.info("the probe of learning rates leaves their range as it is")
    return narrowed


def _values(space: SearchSpace) -> dict[str, Value]:
    """Returns a value for every hyperparameter: the default where several are searched."""
    fixed = {
        name: value
        for name, value in space.settings.items()
        if isinstance(value, str | int | float | bool)
    }
    cut = space.settings.get("cut", space.defaults["cut"])
    own: dict[str, Value] = {**space.defaults, **fixed}
    return own | ({"cut": cut.choices[0]} if isinstance(cut, Choice) else {})
