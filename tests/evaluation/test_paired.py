"""Which of several configurations is the best, on data whose truth is known."""

import numpy as np
import pytest

from pipeline.evaluation.paired import _quantiles, disagreement, standings, superiority

NUM_IMAGES = 400
ACCURACY = {"metric": "accuracy", "is_larger_better": True}


def answers(rng, rate, *, seeds=3, hard=None, spread=0.0):
    """Probabilities of trainings that are right at a rate, the same images hard for all.

    Args:
        rng: Draws them.
        rate: How often they are right.
        seeds: How many.
        hard: How hard each image is, in [0, 1].
        spread: Standard deviation of the rate over seeds.
    """
    found = []
    for _ in range(seeds):
        own = rate + spread * rng.standard_normal()
        difficulty = 0.7 * hard + 0.3 * rng.random(NUM_IMAGES)
        is_right = difficulty < np.quantile(difficulty, own)
        found.append(np.stack([is_right, ~is_right], axis=1).astype(np.float32))
    return found


def judged(*answered, num_resamples=400, **wanted):
    labels = np.zeros(NUM_IMAGES, np.int64)
    return standings(
        answered, labels, **{**ACCURACY, **wanted}, num_resamples=num_resamples, seed=1
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_clear_winner_is_best_with_certainty_and_the_other_is_shown_to_be_behind(rng):
    hard = rng.random(NUM_IMAGES)
    worse, better = judged(answers(rng, 0.8, hard=hard), answers(rng, 0.9, hard=hard))
    assert (better.probability_best, worse.probability_best) == (1.0, 0.0)
    assert (better.behind.value, better.behind.low, better.behind.high) == (0.0, 0.0, 0.0)
    assert worse.behind.value == pytest.approx(0.1, abs=0.01)
    assert 0 < worse.behind.low < worse.behind.value < worse.behind.high
    assert better.is_tied
    assert not worse.is_tied


def test_the_same_answers_are_equally_good(rng):
    one = answers(rng, 0.9, hard=rng.random(NUM_IMAGES), seeds=1)
    first, second = judged(one, one)
    assert first.probability_best == second.probability_best == 0.5
    assert first.is_tied
    assert second.is_tied


def test_of_a_loss_the_smaller_is_better(rng):
    right, wrong = (np.tile(np.float32([p, 1 - p]), (NUM_IMAGES, 1)) for p in (0.9, 0.6))
    found = judged([wrong], [right], metric="log_loss", is_larger_better=False)
    assert [one.probability_best for one in found] == [0.0, 1.0]
    assert found[0].behind.value == pytest.approx(np.log(0.9 / 0.6), rel=1e-3)


def test_seeds_that_differ_widen_the_interval(rng):
    hard = rng.random(NUM_IMAGES)
    alike = judged(*(answers(rng, 0.9, hard=hard, seeds=8) for _ in range(2)))
    apart = judged(*(answers(rng, 0.9, hard=hard, seeds=8, spread=0.04) for _ in range(2)))
    assert max(one.standard_error for one in apart) > 2 * max(o.standard_error for o in alike)


def test_of_equals_one_is_shown_to_be_behind_in_few_cases(rng):
    """Of 100 comparisons of four equal configurations: at most 5%, and chance."""
    false = 0
    for _ in range(100):
        hard = rng.random(NUM_IMAGES)
        found = judged(
            *(answers(rng, 0.9, hard=hard, spread=0.005) for _ in range(4)), num_resamples=200
        )
        false += any(one.behind.low > 0 for one in found)
    # The one-sided 99% bound of a binomial of 100 at 5%.
    assert false <= 11


def test_tails_that_no_resample_shows_are_those_of_a_normal_distribution(rng):
    drawn = rng.standard_normal(2000)
    # The lowest of 2,000 is no quantile of 1e-9.
    assert _quantiles(drawn, 1e-9) == pytest.approx((-6.0, 6.0), abs=0.3)
    assert _quantiles(drawn, 0.025) == pytest.approx((-1.96, 1.96), abs=0.2)


def test_a_gap_of_four_points_is_mostly_found(rng):
    found = 0
    for _ in range(50):
        hard = rng.random(NUM_IMAGES)
        worse, _ = judged(
            *(answers(rng, rate, hard=hard, spread=0.005) for rate in (0.86, 0.9)),
            num_resamples=200,
        )
        found += worse.behind.low > 0
    assert found >= 40


def test_mcnemars_p_value_counts_the_images_that_one_alone_gets_right():
    """Nine only the first, one only the second: of 10 coins 9 or more heads, 11 of 1,024."""
    labels = np.zeros(40, np.int64)
    first, second = np.ones(40, bool), np.ones(40, bool)
    first[0], second[1:10] = False, False
    answered = [np.stack([one, ~one], axis=1).astype(np.float32) for one in (first, second)]
    told = {"is_larger_better": True, "num_resamples": 50, "seed": 0}
    found = superiority("accuracy", *answered, labels, **told)
    assert found.p_value == pytest.approx(11 / 1024)
    assert found.difference.value == pytest.approx(8 / 40)
    assert superiority("accuracy", *answered[::-1], labels, **told).p_value > 0.99


@pytest.mark.parametrize("is_first_better", [True, False])
def test_of_a_loss_the_smaller_is_shown_to_be_better(rng, is_first_better):
    sure, unsure = (
        np.clip(p + 0.05 * rng.standard_normal(NUM_IMAGES), 0.01, 0.99) for p in (0.9, 0.8)
    )
    answered = [np.stack([one, 1 - one], axis=1).astype(np.float32) for one in (sure, unsure)]
    found = superiority(
        "log_loss",
        *(answered if is_first_better else answered[::-1]),
        np.zeros(NUM_IMAGES, np.int64),
        is_larger_better=False,
        num_resamples=200,
        seed=0,
    )
    assert (found.difference.value > 0) is is_first_better
    assert (found.p_value < 0.001) is is_first_better


def test_where_two_disagree_is_counted_and_weighed():
    labels = np.zeros(40, np.int64)
    right, wrong = np.float32([0.9, 0.1]), np.float32([0.1, 0.9])
    first = np.where((np.arange(40) < 30)[:, None], right, wrong)
    second = np.where((np.arange(40) >= 12)[:, None], right, wrong)
    found = disagreement(first, second, labels)
    assert (found.only_first, found.only_second) == (12, 10)
    # Of 22 coins 12 or more, or 10 or fewer, of one side: all but 11.
    assert found.p_value == pytest.approx(1 - 705432 / 2**22)
    assert disagreement(second, first, labels).p_value == found.p_value
    assert disagreement(first, first, labels).p_value == 1.0
    few = disagreement(first[:12], second[:12], labels[:12])
    assert few.p_value == pytest.approx(2 / 2**12)
