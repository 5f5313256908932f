"""Minutes and speed bound what an image and a head may cost."""

import pytest

from pipeline.planning.limits import MOST_FEATURES, Limits, as_many_steps

LIMITS = Limits(budget_seconds=900.0, gflops=100.0, max_bytes=10**12)


def test_an_image_may_take_its_share():
    # 360 s for 72,000 rows.
    assert LIMITS.seconds_per_image(72_000) == pytest.approx(0.005)


def test_features_follow_from_the_weights_of_the_first_layer():
    # 450 s of 40% of 100 GFLOP/s, over 12 trainings of 10 epochs, 6 x 256 operations a feature and
    # row.
    assert LIMITS.num_features(50_000, num_rows=60_000) == int(
        180e11 / (6 * 256 * 10 * 12 * 50_000)
    )
    half = LIMITS.num_features(100_000, num_rows=60_000)
    assert 2 * half == pytest.approx(LIMITS.num_features(50_000, num_rows=60_000), abs=2)


def test_the_arrays_of_all_heads_fit():
    small = Limits(budget_seconds=900.0, gflops=100.0, max_bytes=10**9)
    # Three heads of so many features of two bytes each, 200,000 times.
    assert small.num_features(1000, num_rows=200_000) == 10**9 // (3 * 2 * 200_000)


def test_single_cuts_leave_the_rest_of_the_bytes_to_several_side_by_side():
    roomy = Limits(budget_seconds=9e4, gflops=100.0, max_bytes=2 * 10**9)
    # 16,666 values of two bytes for an image, less two cuts of 4,096.
    assert roomy.num_features(1000, num_rows=60_000) == 16_666 - 2 * 4096


def test_there_is_always_one_and_never_too_many():
    assert LIMITS.num_features(10**12, num_rows=10**12) == 1
    hours = Limits(budget_seconds=9e4, gflops=100.0, max_bytes=10**12)
    assert hours.num_features(100, num_rows=100) == MOST_FEATURES


def test_what_features_leave_of_the_time_goes_into_longer_trainings():
    most = LIMITS.num_features(50_000, num_rows=60_000)
    assert LIMITS.num_epochs(most, 50_000) == 10
    assert LIMITS.num_epochs(most // 2, 50_000) == 20
    assert LIMITS.num_epochs(1, 50_000) == 30
    assert LIMITS.num_epochs(2 * most, 50_000) == 10


def test_a_small_training_part_is_gone_over_no_oftener():
    # 8,192 images an epoch are two times 4,096 and eight times 1,024.
    assert LIMITS.num_epochs(1, 4096) == 15
    assert LIMITS.num_epochs(1, 1024) == 10


def test_epochs_over_views_are_fewer_where_each_is_longer():
    assert as_many_steps(10, 50_000, 1) == 5
    assert as_many_steps(20, 50_000, 3) == 5
    # An epoch goes over 1,024 images eight times, over as many rows again four times; over 5,000
    # two times and over 10,000 once; over 3,000 three times, and over 6,000 once as well.
    assert as_many_steps(10, 1024, 1) == as_many_steps(10, 5000, 1) == 10
    assert as_many_steps(10, 3000, 1) == 15
    assert as_many_steps(10, 6000, 1) == 5


def test_the_plan_takes_a_tenth():
    assert LIMITS.plan_seconds == pytest.approx(90.0)


def test_fine_tuning_of_one_trial_takes_a_fifth():
    assert LIMITS.trial_seconds == pytest.approx(180.0)
