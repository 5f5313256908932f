"""The answer is made from the records: a tie is a tie, and every figure has its interval."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.intervals import Interval
from pipeline.report.answer import verdict


def judged(study, labels, *, num_right):
    """The study with probabilities that are right on the first `num_right` images."""
    guesses = labels.copy()
    guesses[num_right:] = (guesses[num_right:] + 1) % 10
    accuracy = Interval(value=num_right / len(labels), low=0.8, high=0.9, n=len(labels))
    return replace(
        study,
        probabilities=np.eye(10, dtype=np.float32)[guesses],
        metrics={**study.metrics, "accuracy": accuracy},
    )


@pytest.fixture
def compare(results):
    def sentences(first_right, second_right):
        studies = [
            judged(study, results.labels, num_right=num_right)
            for study, num_right in zip(results.studies, (first_right, second_right), strict=True)
        ]
        return verdict(replace(results, studies=studies))

    return sentences


def test_a_clear_win_names_both_figures_n_and_the_paired_interval(compare):
    sentence = compare(945, 889)[0]
    assert sentence.startswith("Transfer beats scratch by 5.60 points: 94.50% against 88.90% of")
    assert "n = 1,000; 95% interval of the paired difference 4." in sentence


def test_a_clear_loss_says_so(compare):
    assert compare(889, 945)[0].startswith("Transfer loses to scratch by 5.60 points: 88.90%")


def test_a_difference_within_noise_is_no_win(compare):
    sentence = compare(900, 899)[0]
    assert "Transfer and scratch cannot be told apart: 90.00% against 89.90%" in sentence
    assert "0.00 to 0.30 points, includes 0" in sentence


def test_one_study_stands_by_itself(results):
    alone = replace(results, studies=[judged(results.studies[0], results.labels, num_right=900)])
    sentences = verdict(alone)
    assert sentences[0].startswith("Transfer classifies 90.00% of the test images correctly (n =")
    assert len(sentences) == 2


def test_every_other_study_gets_a_sentence(results):
    third = replace(results.studies[1], name="third")
    sentences = verdict(replace(results, studies=[*results.studies, third]))
    assert ["scratch" in sentences[0], "third" in sentences[1]] == [True, True]


def test_the_last_sentence_says_how_it_was_chosen(results):
    winner = results.studies[0].confirm.winner
    last = verdict(results)[-1]
    assert f"Transfer is trial {winner.number} of its search" in last
    assert "validation accuracy; on the confirmation part" in last
    assert "over 3 trainings" in last
    assert f"averages 3 trainings of trial {winner.number}. The test part" in last


def test_one_exported_training_is_no_average(results):
    first = results.studies[0]
    exported = first.confirm.exported
    confirm = replace(first.confirm, exported=replace(exported, members=exported.members[:1]))
    alone = replace(first, confirm=confirm)
    assert "averages" not in verdict(replace(results, studies=[alone]))[-1]


def timed(results, budget_seconds):
    """Returns the results of a search that took what time there was."""
    first, *others = results.studies
    search = replace(first.search, target=None, budget_seconds=budget_seconds)
    return replace(results, studies=[replace(first, search=search), *others])


def test_more_time_has_its_worth_where_time_decides(results):
    assert not any("minutes more" in sentence for sentence in verdict(results))
    found = re.fullmatch(
        r"With 15 minutes more of budget transfer would try about (\d+) more configurations; the "
        r"best validation accuracy on whole trainings is expected to improve by \d\.\d\d points, "
        r"and the best would be trained with further seeds\.",
        verdict(timed(results, 900.0))[-1],
    )
    assert found is not None
    assert int(found[1]) > 0
