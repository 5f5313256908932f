"""Who wins a confirmation whose time was short."""

from dataclasses import replace

import numpy as np

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.search.judging import placed, winner_of
from testing.records import made_candidate, made_confirmation

ACCURACY = OBJECTIVES["val_accuracy"]
LABELS = np.zeros(1000, np.int64)


def answers(accuracy):
    right = np.arange(1000) < 1000 * accuracy
    return np.stack([right, ~right], axis=1).astype(np.float32)


def judged(*accuracies):
    """Candidates, each of a training for each of its accuracies, all of one size."""
    made = [
        made_candidate(number, float(np.mean(own)), len(own), values=list(own))
        for number, own in enumerate(accuracies)
    ]
    trained = [[answers(one) for one in own] for own in accuracies]
    return placed(made, [100] * len(made), trained, LABELS, ACCURACY)


def test_a_single_training_that_was_lucky_does_not_win_against_two():
    """The first was better at first, had a further seed, and that was worse."""
    found = judged((0.950, 0.930), (0.948,))
    assert winner_of(found, ACCURACY) == 0
    assert [one.standing for one in found] == [None, None]
    told = made_confirmation(found[0], candidates=found).told_of_others
    assert told == "behind with fewer seeds: trial 1"


def test_a_better_one_for_whose_further_seed_there_was_no_time_wins():
    found = judged((0.900, 0.890), (0.950,), (0.880, 0.990))
    assert winner_of(found, ACCURACY) == 1
    assert None not in [one.standing for one in found]


def test_one_that_lacks_the_last_seeds_only_is_compared_with_all():
    """It was behind over those it had, by less than chance explains."""
    found = judged((0.901, 0.900, 0.899), (0.900, 0.899), (0.899,))
    assert [one.standing is None for one in found] == [False, False, True]


def test_seeds_are_compared_with_themselves():
    """The one with a single seed had another than the first."""
    first, second = judged((0.990, 0.900), (0.950,))
    second = replace(second, seeds=[1])
    assert winner_of([first, second], ACCURACY) == 1


def test_where_all_had_as_many_the_best_mean_wins():
    found = judged((0.900, 0.910), (0.948, 0.950))
    assert winner_of(found, ACCURACY) == 1
    assert None not in [one.standing for one in found]
