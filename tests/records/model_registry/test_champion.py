"""The alias moves to what is shown to be better, and the sentence says why."""

from functools import cache

import numpy as np

from pipeline.evaluation.intervals import Interval
from pipeline.evaluation.paired import Superiority, superiority
from pipeline.records.model_registry.champion import decide, level


def found(p_value):
    difference = Interval(value=0.003, low=-0.001, high=0.007, n=5000)
    return Superiority(first=0.947, second=0.944, difference=difference, p_value=p_value)


def decided(p_value, *, number=1, is_other_data=False):
    return decide(
        found(p_value),
        number=number,
        version="3",
        measure="accuracy",
        is_other_data=is_other_data,
    )


def test_what_is_shown_to_be_better_takes_over_and_all_figures_are_said():
    decision = decided(0.01)
    assert decision.moves
    assert decision.reason == (
        "its file has accuracy 0.9470 on the 5000 confirmation images, version 3's 0.9440 (better "
        "by 0.0030, 95% interval -0.0010 to 0.0070): shown to be better (p = 0.01, at most 0.03 in "
        "comparison 1 on these images)"
    )


def test_what_is_perhaps_better_does_not():
    decision = decided(0.04)
    assert not decision.moves
    assert "not shown to be better" in decision.reason


def test_each_comparison_on_the_same_images_must_show_more():
    assert decided(0.01, number=1).moves
    assert not decided(0.01, number=2).moves
    assert sum(level(number) for number in range(1, 10_000)) < 0.05


def test_a_champion_of_other_data_is_said_to_have_an_advantage():
    reason = decided(0.5, is_other_data=True).reason
    assert reason.endswith("version 3 learned from other data, in which these images may have been")


NOISE = 0.3


@cache
def threshold(accuracy):
    """How hard an image may be, so that a model is right on this share of all images."""
    rng = np.random.default_rng(9)
    return np.quantile(rng.random(400_000) + NOISE * rng.standard_normal(400_000), accuracy)


def answers(rng, difficulty, accuracy):
    """Probabilities of a model that is right on a share of all images, and errs on hard ones.

    The images at hand are a sample: on these it is right more or less often, as chance has it.
    """
    own = difficulty + NOISE * rng.standard_normal(len(difficulty))
    is_right = own < threshold(accuracy)
    return np.stack([is_right, ~is_right], axis=1).astype(np.float32)


def compared(challenger, champion, *, number):
    labels = np.zeros(len(champion), np.int64)
    found = superiority(
        "accuracy", challenger, champion, labels, is_larger_better=True, num_resamples=2, seed=0
    )
    return decide(found, number=number, version="1", measure="accuracy", is_other_data=False)


def test_of_equals_hardly_one_becomes_champion_in_fifty_comparisons():
    rng, moved, num_repeats = np.random.default_rng(0), 0, 100
    for _ in range(num_repeats):
        difficulty = rng.random(400)
        champion, *others = (answers(rng, difficulty, 0.9) for _ in range(51))
        moved += any(
            compared(other, champion, number=number).moves
            for number, other in enumerate(others, start=1)
        )
    # At most 5% are allowed; the one-sided 99% bound of a binomial of 100 is 11.
    assert moved <= 11


def test_a_gap_of_one_and_a_half_points_on_five_thousand_images_is_mostly_found():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(50):
        difficulty = rng.random(5000)
        champion, better = (answers(rng, difficulty, accuracy) for accuracy in (0.92, 0.935))
        found += compared(better, champion, number=1).moves
    assert found >= 40
