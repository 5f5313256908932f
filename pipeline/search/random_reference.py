"""What the sampler was worth: its first choices against as many configurations drawn at random.

Only TPE's search has such a reference in itself: it draws at random until enough trials have ended.
Where a user's own configurations come first, these are the trials that it waits for, nothing is
drawn at random, and there is no reference.
"""

from collections.abc import Sequence

from pipeline.search.importance import compared
from pipeline.trials.effects import RandomRecord
from pipeline.trials.ranking import best_trial
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import StudyRecord

FEWEST = 5
"""Trials of each, of which the best ones are compared."""


def random_reference(study: StudyRecord, *, sampler: str, num_startup: int) -> RandomRecord | None:
    """Returns the best of the configurations drawn at random, and of as many after them.

    Args:
        study: Its record; of the trials of its lowest rung, each configuration counts once.
        sampler: `search.sampler`.
        num_startup: Trials that TPE draws at random until they have ended.

    Returns:
        None if the sampler is another one, or too few were drawn either way.
    """
    if sampler != "tpe":
        return None
    own = [one for one in compared(study) if not one.queued and _is_drawn_here(one)]
    at_random = [one for one in own if _num_ended_before(one, study.trials) < num_startup]
    chosen = [one for one in own if one not in at_random]
    count = min(len(at_random), len(chosen))
    best = [best_trial(ones[:count], study.direction) for ones in (at_random, chosen)]
    if count < FEWEST or best[0] is None or best[1] is None:
        return None
    values = [one.value for one in best if one is not None and one.value is not None]
    return RandomRecord(count=count, random=values[0], sampled=values[1])


def _is_drawn_here(trial: TrialRecord) -> bool:
    return "taken_over_from" not in trial.attributes


def _num_ended_before(trial: TrialRecord, others: Sequence[TrialRecord]) -> int:
    ended = [one.end_ms for one in others if one.is_finished]
    return sum(moment <= trial.start_ms for moment in ended)
