"""Successive halving as a rule on trials: which configuration goes on, and when."""

from dataclasses import replace

import pytest

from pipeline.search.rungs import Ladder, Promotion, Training, shares, work_left

NINTH, THIRD, WHOLE = shares(3)


def finished(*values, first=0, share=NINTH, promoted_from=None):
    return [
        Training(
            number=first + place,
            state="COMPLETE",
            share=share,
            value=value,
            seconds=1.0,
            promoted_from=promoted_from[place] if promoted_from else None,
        )
        for place, value in enumerate(values)
    ]


def due(trainings, *, expected=9, is_closed=False, **more):
    ladder = Ladder(3, max_retries=2)
    return list(ladder.promotions(trainings, expected=expected, is_closed=is_closed, **more))


def numbers(promotions):
    return [promotion.number for promotion in promotions]


def test_each_rung_gives_three_times_the_one_below():
    assert shares(1) == (1.0,)
    assert shares(3) == pytest.approx((1 / 9, 1 / 3, 1))


def test_nothing_goes_on_before_a_third_of_a_rung_has_finished():
    assert due(finished(0.9, 0.8)) == []
    assert numbers(due(finished(0.9, 0.8, 0.7))) == [0]


def test_a_third_goes_on_the_best_first():
    assert due(finished(0.1, 0.9, 0.2, 0.8, 0.3, 0.4)) == [
        Promotion(number=1, rung=1, share=THIRD),
        Promotion(number=3, rung=1, share=THIRD),
    ]


def test_of_equal_values_the_smaller_loss_goes_on_and_then_the_earlier():
    equal = finished(0.9, 0.9, 0.9)
    assert numbers(due(equal)) == [0]
    losses = [replace(one, loss=loss) for one, loss in zip(equal, (0.3, 0.1, 0.1), strict=True)]
    assert numbers(due(losses)) == [1]


def test_what_has_gone_on_counts_and_does_not_go_on_again():
    running = Training(number=6, state="RUNNING", share=THIRD, promoted_from=1)
    assert numbers(due([*finished(0.1, 0.9, 0.2, 0.8, 0.3, 0.4), running])) == [3]


def test_a_better_one_that_comes_later_takes_no_further_place():
    early = finished(0.5, 0.4, 0.3)
    on = Training(number=3, state="RUNNING", share=THIRD, promoted_from=0)
    late = finished(0.9, 0.8, first=4)
    assert due([*early, on, *late]) == []


@pytest.mark.parametrize(("count", "going_on"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 3)])
def test_of_a_closed_rung_a_third_rounded_up_goes_on(count, going_on):
    values = [place / 10 for place in range(count)]
    assert len(due(finished(*values), expected=count, is_closed=True)) == going_on


def test_a_rung_is_open_while_one_of_it_runs():
    running = Training(number=1, state="RUNNING", share=NINTH)
    assert due([*finished(0.5), running], expected=2, is_closed=True) == []


def test_a_rung_is_open_while_one_below_it_has_something_to_give():
    lower = finished(*[0.1] * 9)
    upper = finished(0.9, 0.8, first=9, share=THIRD, promoted_from=[0, 1])
    # A third is to come from below; of a closed rung of two, one would go on.
    assert numbers(due([*lower, *upper], is_closed=True)) == [2]
    assert numbers(due([*lower[:6], *upper], is_closed=True, expected=6)) == [9]


def test_the_highest_rung_goes_first():
    lower = finished(*[place / 10 for place in range(9)])
    upper = finished(0.9, 0.8, 0.7, first=9, share=THIRD, promoted_from=[8, 7, 6])
    assert due([*lower, *upper], is_closed=True)[0] == Promotion(number=9, rung=2, share=WHOLE)


def test_what_has_no_value_counts_and_does_not_go_on():
    diverged = Training(number=2, state="PRUNED", share=NINTH, seconds=1.0)
    assert numbers(due([*finished(0.1, 0.2), diverged])) == [1]


def test_a_copy_does_not_go_on():
    first, second, third = finished(0.9, 0.9, 0.1)
    assert numbers(due([first, replace(second, is_copy=True), third])) == [0]
    six = finished(0.9, 0.9, 0.1, 0.2, 0.3, 0.4)
    six[1] = replace(six[1], is_copy=True)
    assert numbers(due(six)) == [0, 5]


def test_what_was_lost_on_its_way_goes_on_again():
    lost = Training(number=3, state="FAIL", share=THIRD, promoted_from=0, attempt=1, can_retry=True)
    assert due([*finished(0.9, 0.8, 0.7), lost]) == [
        Promotion(number=0, rung=1, share=THIRD, retry_of=3, attempt=1)
    ]


def test_what_was_lost_too_often_has_had_its_place():
    lost = Training(number=3, state="FAIL", share=THIRD, promoted_from=0, attempt=3, can_retry=True)
    assert due([*finished(0.9, 0.8, 0.7), lost]) == []


def test_what_raised_has_had_its_place():
    lost = Training(number=3, state="FAIL", share=THIRD, promoted_from=0, can_retry=False)
    assert due([*finished(0.9, 0.8, 0.7), lost]) == []


def test_the_place_of_what_does_not_fit_goes_to_the_next():
    six = finished(0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    assert numbers(due(six, fits=lambda one: one.number != 0)) == [1, 2]


@pytest.mark.parametrize(("is_exact", "wanted"), [(True, []), (False, [5])])
def test_the_best_that_comes_last_goes_on_where_no_number_was_asked_for(is_exact, wanted):
    # Two of six go on; while the last one ran, a worker had nothing to do.
    lowest = finished(0.9, 0.8, 0.7, 0.6, 0.5, 0.95)
    third = finished(0.91, 0.81, first=6, share=THIRD, promoted_from=[0, 1])
    found = due([*lowest, *third], is_closed=True, is_exact=is_exact)
    assert [one for one in numbers(found) if one < 6] == wanted


def test_a_best_that_does_not_fit_draws_none_of_the_others_after_it():
    nine = finished(0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
    third = finished(0.91, 0.81, 0.71, first=9, share=THIRD, promoted_from=[1, 2, 3])
    found = due(
        [*nine, *third], is_closed=True, is_exact=False, fits=lambda one: one.number not in (0, 9)
    )
    assert numbers(found) == [10]


def test_with_fewer_rungs_than_before_a_configuration_counts_once():
    # Nine, three of which went on to what is now the lowest rung, too.
    done = [1 / 9] * 9 + [1 / 3] * 3
    assert work_left(18, 2, done, num_configurations=9).num_trainings == 9 + 6


def spare(trainings, *, fits=lambda one: True):
    return [(p.number, p.rung) for p in Ladder(3, max_retries=2).spare(trainings, fits=fits)]


def test_while_a_worker_would_idle_the_best_of_the_highest_rung_goes_on_beyond_its_third():
    lowest = finished(0.9, 0.7, 0.8, 0.6)
    third = finished(0.95, 0.96, first=4, share=THIRD, promoted_from=[0, 2])
    whole = finished(0.99, first=6, share=WHOLE, promoted_from=[5])
    running = [replace(whole[0], state="RUNNING", value=None)]
    for top in (whole, running):
        assert spare([*lowest, *third, *top]) == [(4, 2), (1, 1), (3, 1)]
    fitting = spare([*lowest, *third, *whole], fits=lambda one: one.rung == 1)
    assert fitting == [(1, 1), (3, 1)]


def test_several_go_on_beyond_their_third_at_once():
    lowest = finished(0.9, 0.7, 0.8)
    third = finished(0.95, first=3, share=THIRD, promoted_from=[0])
    whole = finished(0.99, first=4, share=WHOLE, promoted_from=[3])
    running = replace(third[0], number=5, promoted_from=2, state="RUNNING", value=None)
    # Of two on the second rung one goes on, and has gone.
    assert spare([*lowest, *third, *whole, running]) == [(1, 1)]


def test_what_was_lost_beyond_its_third_goes_on_again():
    lowest = finished(0.9, 0.7, 0.8)
    third = finished(0.95, first=3, share=THIRD, promoted_from=[0])
    whole = finished(0.99, first=4, share=WHOLE, promoted_from=[3])
    lost = replace(third[0], number=5, promoted_from=2, state="FAIL", value=None, can_retry=True)
    assert spare([*lowest, *third, *whole, lost]) == [(2, 1), (1, 1)]


def test_what_still_runs_keeps_no_worker_idle():
    lowest = finished(0.9, 0.7, 0.8)
    third = finished(0.95, 0.96, first=3, share=THIRD, promoted_from=[0, 2])
    running = replace(third[1], state="RUNNING", value=None)
    # The second of that rung may turn out better; until then the first is the best.
    assert spare([*lowest, third[0], running]) == [(3, 2), (1, 1)]


def test_without_rungs_nothing_goes_on():
    ladder = Ladder(1, max_retries=2)
    whole = finished(0.9, 0.8, 0.7, share=1.0)
    assert list(ladder.promotions(whole, expected=3, is_closed=True)) == []


def test_a_finer_ladder_goes_on_where_a_coarser_one_ended():
    ladder = Ladder(4, max_retries=2)
    assert [ladder.rung_of(share) for share in (1 / 27, NINTH, THIRD, WHOLE)] == [0, 1, 2, 3]
    # And a coarser one takes what is below its lowest for it.
    assert Ladder(2, max_retries=2).rung_of(NINTH) == 0


@pytest.mark.parametrize(("target", "counts"), [(18, [18, 6, 2]), (20, [20, 7, 3]), (1, [1, 1, 1])])
def test_a_search_of_any_order_ends_with_the_same_counts(target, counts):
    trainings: list[Training] = []
    ladder, configurations = Ladder(3, max_retries=2), 0
    while True:
        found = next(
            ladder.promotions(trainings, expected=target, is_closed=configurations == target),
            None,
        )
        number = len(trainings)
        if found is not None:
            share, source = found.share, found.number
        elif configurations < target:
            share, source, configurations = NINTH, None, configurations + 1
        else:
            break
        value = (number * 7919 % 101) / 101
        trainings += [
            Training(
                number=number,
                state="COMPLETE",
                share=share,
                value=value,
                seconds=1.0,
                promoted_from=source,
            )
        ]
    assert [len(ladder.on(rung, trainings)) for rung in range(3)] == counts
