"""What a confirmation says of its winner: whether it is tied, and what selection flattered."""

import json
from dataclasses import replace

import pytest

from pipeline.trials.candidate import StandingRecord
from pipeline.trials.confirmation import ConfirmationRecord
from testing.records import made_candidate, made_confirmation, made_training


def standing(probability_best, *, is_tied):
    return StandingRecord(
        probability_best=probability_best,
        behind=0.0,
        low=-0.01,
        high=0.01,
        is_tied=is_tied,
        num_parameters=9,
    )


def confirmation(*others, trainings=()):
    """A confirmation that trial 0 wins; others are tied with it or not."""
    winner = made_candidate(0, 0.9, standing=standing(0.6, is_tied=True))
    rest = [
        made_candidate(number, 0.9, standing=standing(0.2, is_tied=is_tied))
        for number, is_tied in enumerate(others, start=1)
    ]
    return made_confirmation(winner, candidates=[winner, *rest], trainings=trainings)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ((), ""),
        ((False,), "its mean is the best with probability 0.60"),
        ((True, False), "probability 0.60; tied with trial 1, which has no fewer weights"),
        ((True, True), "tied with trials 1, 2, none of which has fewer weights"),
    ],
)
def test_a_tie_is_called_a_tie(others, said):
    told = confirmation(*others).told_of_others
    assert told.endswith(said)
    assert bool(told) is bool(said)


def test_selection_bias_is_the_searchs_value_less_that_of_the_winners_new_seeds():
    trainings = [
        made_training("a", number=0, value=0.8),
        made_training("b", number=0, value=0.86),
        made_training("c", number=1, value=0.1),
    ]
    record = confirmation(True, trainings=trainings)
    assert record.selection_bias == pytest.approx(0.9 - 0.83)
    assert replace(record, trainings=trainings[2:]).selection_bias is None
    part = [replace(record.winner, search_share=1 / 3)]
    assert replace(record, candidates=part).selection_bias is None


def test_standings_are_written_and_read_and_an_earlier_release_has_none():
    record = confirmation(True)
    assert ConfirmationRecord.from_json(record.to_json()).candidates == record.candidates
    assert "standing" not in made_candidate().to_json()


def test_what_diverged_is_said_written_and_read():
    record = replace(confirmation(True), left_out={7: {"units": 4}})
    assert record.told_of_others.endswith("fewer weights; left out, since a seed diverged: trial 7")
    trainings = [made_training("a", number=7, value=None), made_training("b", number=0, value=0.8)]
    seeds = sum(one.num_seeds for one in record.candidates)
    assert replace(record, trainings=trainings).num_trainings == seeds + 1
    alone = replace(confirmation(), left_out={7: {}, 8: {}})
    assert alone.told.endswith("; left out, since a seed diverged: trials 7, 8")
    read = ConfirmationRecord.from_json(json.loads(json.dumps(record.to_json())))
    assert read.left_out == {7: {"units": 4}}
    assert "left_out" not in confirmation(True).to_json()
