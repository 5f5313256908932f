"""The answer is made from the records: a tie is a tie, and every figure has its interval."""

import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from pipeline.evaluation.intervals import Interval, paired_difference
from pipeline.evaluation.paired import disagreement
from pipeline.evaluation.record import ComparisonRecord
from pipeline.planning.plan import Plan
from pipeline.report.answer import answers
from testing.diagnoses import made_diagnosis, made_more_data

QUESTIONS = {
    "best": "What is the best model?",
    "sure": "How sure are we?",
    "cost": "What did it cost?",
    "limits": "What limits it?",
    "next": "What should I try next?",
}


def answer(results, name):
    """The sentences that answer one question."""
    return {one.question: one.sentences for one in answers(results)}[QUESTIONS[name]]


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
        first, second = (study.probabilities for study in studies)
        told = {"num_resamples": 1000, "seed": 0}
        where = disagreement(first, second, results.labels)
        one = ComparisonRecord(
            first="transfer",
            second="scratch",
            difference=paired_difference("accuracy", first, second, results.labels, **told),
            **asdict(where),
        )
        return answer(replace(results, studies=studies, comparisons=[one]), "best")

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
    assert "0.00 to 0.30 points (95% interval), and chance alone" in sentence
    assert sentence.endswith("with p = 1.")


def test_four_images_that_one_alone_gets_right_are_no_win(compare):
    """The bootstrap's interval excludes 0, whatever n."""
    sentence = compare(904, 900)[0]
    assert "cannot be told apart: 90.40% against 90.00%" in sentence
    assert "0.10 to 0.80 points" in sentence
    assert sentence.endswith("with p = 0.12.")


def test_the_difference_is_the_one_that_evaluate_found(results):
    (found,) = results.comparisons
    first, other = (one.name for one in results.studies)
    turned = replace(found, first=other, second=first)
    sentences = [
        answer(replace(results, comparisons=[one]), "best")[0]
        for one in (replace(found, first=first, second=other), turned)
    ]
    span = (100 * found.difference.low, 100 * found.difference.high)
    assert "{:.2f} to {:.2f} points".format(*span) in sentences[0]
    assert f"{-span[1]:.2f} to {-span[0]:.2f} points" in sentences[1]


def test_one_study_stands_by_itself(results):
    first = judged(results.studies[0], results.labels, num_right=900)
    alone = replace(results, studies=[first], comparisons=())
    assert answer(alone, "best")[0] == (
        "Transfer classifies 90.00% of the test images correctly (n = 1,000)."
    )


def test_every_other_study_gets_a_sentence(results):
    third = replace(results.studies[1], name="third")
    comparisons = [
        *results.comparisons,
        replace(results.comparisons[0], first="transfer", second="third"),
    ]
    more = replace(results, studies=[*results.studies, third], comparisons=comparisons)
    sentences = answer(more, "best")
    assert ["scratch" in sentences[0], "third" in sentences[1]] == [True, True]


def test_the_five_questions_are_answered_in_order(results):
    found = answers(results)
    assert [one.question for one in found] == list(QUESTIONS.values())
    assert all(one.sentences for one in found)
    assert all(text.endswith(".") for one in found for text in one.sentences)


def test_the_model_is_said_to_be_an_average_of_trainings_or_one(results):
    first = results.studies[0]
    number = first.confirm.winner.number
    assert f"averages 3 trainings of trial {number}: a head on" in answer(results, "best")[-1]
    exported = first.confirm.exported
    confirm = replace(first.confirm, exported=replace(exported, members=exported.members[:1]))
    alone = replace(results, studies=[replace(first, confirm=confirm)])
    assert f"is one training of trial {number}: a head on" in answer(alone, "best")[-1]


def test_a_cut_of_several_layers_is_named_by_its_lowest(results):
    first = results.studies[0]
    values = {"cut": "block4_add:grid2+block7_add:none"}
    candidates = [replace(one, hyperparameters=values) for one in first.confirm.candidates]
    confirm = replace(first.confirm, candidates=candidates)
    sentence = answer(replace(results, studies=[replace(first, confirm=confirm)]), "best")[-1]
    assert sentence.endswith("a head on 2 layers, block4_add the lowest, of efficientnet_lite0.")


def test_how_sure_has_the_interval_the_seeds_and_what_the_search_said(results):
    interval, again = answer(results, "sure")
    accuracy = results.studies[0].metrics["accuracy"]
    assert (
        f"{100 * accuracy.low:.2f} to {100 * accuracy.high:.2f}% on 1,000 test images" in interval
    )
    assert "over 3 trainings on 5,000 images that no search has seen (in its search 9" in again


def test_what_the_search_said_by_a_part_of_a_training_is_told_as_such(results):
    first = results.studies[0]
    candidates = [
        replace(one, search_share=1 / 9) if one.number == first.confirm.winner_number else one
        for one in first.confirm.candidates
    ]
    study = replace(first, confirm=replace(first.confirm, candidates=candidates))
    again = answer(replace(results, studies=[study]), "sure")[1]
    assert "% by 1/9 of a training)" in again


def test_one_training_is_said_to_leave_the_spread_over_seeds_open(results):
    first = results.studies[0]
    one = replace(first.confirm.winner, num_seeds=1, values=[0.94], std=None, low=None, high=None)
    confirm = replace(first.confirm, candidates=[one])
    sentence = answer(replace(results, studies=[replace(first, confirm=confirm)]), "sure")[-1]
    assert "how much a new seed changes it was not measured" in sentence


def test_the_cost_counts_configurations_trainings_and_time_of_all_studies(results):
    tried, in_use = answer(results, "cost")
    assert tried.startswith("38 configurations were tried in ")
    assert tried.endswith("the best confirmed by 18 trainings.")
    assert in_use == (
        "In use: a file of 18.4 MB with 4,123,456 weights, 312 images a second on this machine."
    )
    assert answer(timed(results, 900.0), "cost")[0].endswith(
        ", within a budget of 15 min for everything."
    )


def test_where_little_was_tried_it_is_called_hardly_a_search(results):
    first, *others = results.studies
    search = replace(first.search, trials=first.search.trials[:4])
    few = replace(results, studies=[replace(first, search=search), *others])
    assert not any("hardly a search" in one for one in answer(results, "cost"))
    num_tried = sum(one.is_finished and one.promoted_from is None for one in search.trials)
    assert f"Of transfer {num_tried} were tried, which is hardly a search" in answer(few, "cost")[1]
    plan = Plan(bases={}, reasons={}, explained={}, measured={"seconds": 176.0})
    assert "; the plan took 2 min 56 s." in answer(replace(few, plan=plan), "cost")[1]


def diagnosed(results, **told):
    first = replace(results.studies[0], diagnosis=made_diagnosis(**told))
    return replace(results, studies=[first])


def test_what_limits_it_and_what_comes_next_is_what_the_diagnosis_says(results):
    found = diagnosed(results, more_data=made_more_data(0.95))
    limits, more_data, _ = answer(found, "limits")
    assert limits.startswith("It is limited by what it makes of new images, not by its fit: ")
    assert "95% interval 4.4% to 5.6%" in limits
    assert more_data.startswith("Yes, gather more data: ")
    assert answer(found, "next")[0].startswith("Regularize first")


def test_where_nothing_is_to_be_gained_nothing_further_is_advised(results):
    (sentence,) = answer(diagnosed(timed(results, 900.0), error=0.0), "next")
    assert sentence.endswith("here there is nothing to gain.")


def test_without_a_diagnosis_nothing_is_guessed(results):
    assert len(answer(replace(results, studies=results.studies[:1]), "limits")) == 1


def test_the_classes_with_most_mistakes_between_them_limit_it(results):
    """Mistakes count in both directions: 3 of 5 are of the first two classes."""
    labels = np.array([0, 1, 1, 2, 2, 2])
    probabilities = np.eye(len(results.class_names), dtype=np.float32)[[1, 0, 0, 0, 0, 2]]
    first = replace(results.studies[0], probabilities=probabilities)
    one, other, *_ = results.class_names
    sentence = answer(replace(results, studies=[first], labels=labels), "limits")[-1]
    assert sentence == (
        f"60.0% of its 5 mistakes on the test images are {one} and {other} taken for each other."
    )


def test_no_mistake_is_no_limit(results):
    perfect = judged(results.studies[0], results.labels, num_right=len(results.labels))
    (sentence,) = answer(replace(results, studies=[perfect]), "limits")
    assert "makes no mistake" in sentence


def timed(results, budget_seconds):
    """Returns the results of a search that took what time there was."""
    first, *others = results.studies
    search = replace(first.search, target=None, budget_seconds=budget_seconds)
    return replace(results, studies=[replace(first, search=search), *others])


def test_more_time_has_its_worth_where_time_decides(results):
    assert not any("minutes more" in sentence for sentence in answer(results, "next"))
    found = re.fullmatch(
        r"With 15 minutes more of budget transfer would try about (\d+) more configurations; the "
        r"best validation accuracy on whole trainings is expected to improve by \d\.\d\d points, "
        r"(?:less|more) than the \d\.\d\d points that 5,000 validation images leave open\.",
        answer(timed(results, 900.0), "next")[-2],
    )
    assert found is not None
    assert int(found[1]) > 0
