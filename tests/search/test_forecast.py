"""What there is time for, from the trainings that have ended."""

from dataclasses import replace

from pipeline.search.forecast import Forecast
from pipeline.search.rungs import Ladder, Promotion, Training, shares

NINTH, THIRD, WHOLE = shares(3)


def forecast(ends, *, num_rungs=3):
    ladder = Ladder(num_rungs, max_retries=2)
    return Forecast(ladder=ladder, ends=ends, clock=lambda: 0.0)


def training(number, *, seconds, share=NINTH, state="COMPLETE", promoted_from=None):
    return Training(
        number=number,
        state=state,
        share=share,
        value=0.5,
        seconds=seconds,
        promoted_from=promoted_from,
    )


def test_before_anything_has_ended_there_is_time_for_the_first():
    assert forecast(100.0).num_more([], num_workers=2) >= 2
    assert forecast(0.0).num_more([], num_workers=2) == 0


def test_room_is_kept_for_what_goes_on():
    there = [training(number, seconds=10.0) for number in range(3)]
    # 15 more of 10 s, 6 of 33 s and 2 of 99 s, where 16 would need 7 and 3.
    assert forecast(600.0).num_more(there, num_workers=1) == 15
    assert forecast(600.0).num_more(there, num_workers=2) == 33


def test_the_rungs_take_one_after_another_however_many_workers_there_are():
    there = [training(number, seconds=10.0) for number in range(30)]
    there += [training(30 + n, seconds=30.0, share=THIRD, promoted_from=n) for n in range(9)]
    there += [training(39 + n, seconds=90.0, share=WHOLE, promoted_from=30 + n) for n in range(2)]
    assert forecast(131.0).num_more(there, num_workers=100) == 0
    assert forecast(143.0).num_more(there, num_workers=100) > 0


def test_for_a_rung_that_is_out_of_reach_no_room_is_kept():
    """Above the lowest one training on each takes 132 s, on the middle one 33 s."""
    there = [training(number, seconds=10.0) for number in range(2)]
    assert forecast(133.0).num_more(there, num_workers=2) == 0
    assert forecast(131.0).num_more(there, num_workers=2) == 10
    assert forecast(32.0).num_more(there, num_workers=2) == 6


def test_a_rung_that_one_of_those_there_can_reach_keeps_its_room():
    """Though no further configuration can: the best goes on to a whole training, in 99 s."""
    there = [training(number, seconds=10.0) for number in range(9)]
    there += [training(9 + n, seconds=30.0, share=THIRD, promoted_from=n) for n in range(3)]
    assert forecast(100.0).num_more(there, num_workers=1) == 0
    assert forecast(98.0).num_more(there, num_workers=1) > 0


def test_what_is_running_has_its_time_kept():
    there = [training(number, seconds=10.0) for number in range(3)]
    running = training(3, seconds=4.0, state="RUNNING")
    # 18 in all, as without it: 14 more of 10 s, and 6 s that are left of it.
    assert forecast(545.0).num_more([*there, running], num_workers=1) == 14
    assert forecast(535.0).num_more([*there, running], num_workers=1) < 14


def test_what_was_trained_whole_before_there_were_rungs_takes_no_room():
    whole = [training(number, seconds=90.0, share=WHOLE) for number in range(40)]
    there = [training(40 + number, seconds=10.0) for number in range(3)]
    assert forecast(600.0).num_more([*whole, *there], num_workers=1) == 15


def test_nothing_is_begun_that_does_not_end():
    there = [training(number, seconds=10.0) for number in range(3)]
    assert forecast(9.0).num_more(there, num_workers=8) == 0


def test_a_promotion_fits_by_what_its_own_configuration_took():
    there = [training(0, seconds=10.0), training(1, seconds=40.0)]
    seen = forecast(60.0)
    assert seen.fits(Promotion(number=0, rung=1, share=THIRD), there)
    assert not seen.fits(Promotion(number=1, rung=1, share=THIRD), there)


def test_what_promotions_took_corrects_what_they_will_take():
    there = [training(number, seconds=10.0) for number in range(4)]
    there += [training(4 + n, seconds=15.0, share=THIRD, promoted_from=n) for n in range(3)]
    assert forecast(16.0).fits(Promotion(number=3, rung=1, share=THIRD), there)
    assert not forecast(16.0).fits(Promotion(number=3, rung=1, share=THIRD), there[:4])


def test_training_the_base_has_a_share_of_the_time_and_no_more():
    head = training(0, seconds=20.0)
    tuned = replace(training(1, seconds=9.0), is_fine_tuned=True)
    seen = forecast(600.0)
    assert not seen.fine_tuned_enough([head, tuned])
    assert seen.fine_tuned_enough([head, tuned, replace(tuned, number=2)])
    assert not seen.fine_tuned_enough([])


def test_a_copy_has_taken_none_of_the_time():
    head = training(0, seconds=20.0)
    tuned = replace(training(1, seconds=9.0), is_fine_tuned=True)
    copies = [replace(tuned, number=2 + number, is_copy=True) for number in range(5)]
    assert not forecast(600.0).fine_tuned_enough([head, tuned, *copies])


def test_training_the_base_has_as_much_of_the_time_as_it_wins_places():
    heads = [replace(training(number, seconds=10.0), value=0.6) for number in range(8)]
    tuned = replace(training(8, seconds=20.0), is_fine_tuned=True)
    # A fifth of the time: three of nine go on.
    seen = forecast(600.0)
    assert not seen.fine_tuned_enough([*heads, replace(tuned, value=0.9)])
    # 1 of 3 + 3 is a sixth, and 20 of 100 s are more than that.
    assert seen.fine_tuned_enough([*heads, replace(tuned, value=0.3)])


def test_training_the_base_never_has_more_than_half_of_the_time():
    head = replace(training(0, seconds=10.0), value=0.1)
    tuned = replace(training(1, seconds=10.0), value=0.9, is_fine_tuned=True)
    others = [replace(tuned, number=number, seconds=0.1) for number in range(2, 20)]
    seen = forecast(600.0)
    assert not seen.fine_tuned_enough([head, replace(tuned, seconds=8.0), *others])
    assert seen.fine_tuned_enough([head, replace(tuned, seconds=8.5), *others])
