"""Where the time went: what ran at the same time counts once, and all studies together."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pipeline.report.text import DASH
from pipeline.report.timing import seconds_of_all, time_rows
from testing.records import made_study, made_training, made_trial

BEGAN = datetime(2026, 1, 1, 12, 0, 0)


def trial(number, start, end):
    began, ended = (BEGAN + timedelta(seconds=seconds) for seconds in (start, end))
    return made_trial(number, value=0.5, started=began, ended=ended)


@pytest.fixture
def study(results):
    """Two trials of 60 s that overlap by 30 s, and a confirmation of 8 s."""
    first = results.studies[0]
    number = first.confirm.winner_number
    confirm = replace(first.confirm, trainings=[made_training("a", number=number)])
    return replace(first, search=made_study(trial(0, 0, 60), trial(1, 30, 90)), confirm=confirm)


def test_what_ran_at_the_same_time_counts_once_and_over_workers_twice(study):
    assert time_rows([study]) == [["transfer", "1 min 30 s", "2 min", "2", "8 s", "9"]]


def test_studies_add_up(study):
    assert seconds_of_all([study, study]) == (180.0, 16.0)


def test_trainings_that_were_not_noted_took_no_time_that_is_known(study):
    older = replace(study, confirm=replace(study.confirm, trainings=[]))
    assert time_rows([older])[0][4] == DASH
