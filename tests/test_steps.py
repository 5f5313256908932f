"""What a stage is busy with is shown as long as it goes on, with an honest time left."""

import time

import pytest

from pipeline.steps import Step, counted, shown, step


@pytest.fixture
def clock(monkeypatch):
    """Sets what `time.monotonic` says."""

    def at(seconds):
        monkeypatch.setattr(time, "monotonic", lambda: seconds)
        return seconds

    at(0.0)
    return at


def advanced(clock, one, counts, *, seconds=10.0):
    """Lets each of some counts take as long."""
    for place, count in enumerate(counts, start=1):
        clock(place * seconds)
        one.advance(count)
    return place * seconds


def test_a_step_is_shown_within_its_block_alone():
    with step("outer") as outer, step("inner") as inner:
        assert shown() == (outer, inner)
    assert shown() == ()


def test_a_step_that_fails_is_shown_no_longer():
    with pytest.raises(ValueError, match="broken"), step("one"):
        raise ValueError("broken")
    assert shown() == ()


def test_an_even_pace_leaves_a_quarter_to_both_sides(clock):
    one = Step("embed", total=400, unit="images")
    now = advanced(clock, one, [100, 100])
    assert one.range_left(now) == pytest.approx((15.0, 25.0))
    assert one.lines(now) == ["embed: 200 of 400 images, 0:15 to 0:25 left"]
    assert one.range_left(now + 5.0) == pytest.approx((10.0, 20.0))


def test_a_pace_that_falls_off_widens_the_range(clock):
    one = Step("embed", total=600)
    now = advanced(clock, one, [100, 100, 100, 50, 50])
    low, high = one.range_left(now)
    # 200 more: at 8 a second over all, at 5 of late.
    assert (low, high) == pytest.approx((0.75 * 25, 1.25 * 40))


def test_an_estimate_that_has_run_out_says_so(clock):
    one = Step("embed", total=300, unit="images")
    now = advanced(clock, one, [100, 100])
    assert one.lines(now + 13.0) == ["embed: 200 of 300 images, longer than estimated"]


def test_nothing_is_said_of_the_time_before_anything_was_done(clock):
    one = Step("embed", total=300, unit="images")
    assert one.lines(clock(20.0)) == ["embed: 0 of 300 images"]


def test_what_was_done_before_says_nothing_of_the_pace(clock):
    one = Step("trained", total=40, done=20)
    now = advanced(clock, one, [5, 5])
    assert one.range_left(now) == pytest.approx((15.0, 25.0))


def test_an_end_in_any_case_is_told_until_it_is_over(clock):
    one = Step("trained again", unit="trainings", seconds_left=100)
    assert one.lines(clock(40.0)) == ["trained again: 0 trainings, at most 1:00 left"]
    assert one.lines(clock(101.0)) == ["trained again: 0 trainings, its time is up"]


def test_bytes_are_told_in_megabytes(clock):
    one = Step("images.gz", total=26_421_880, unit="bytes")
    one.advance(1_200_000)
    assert one.lines(1.0) == ["images.gz: 1.2 of 26.4 MB"]


def test_items_are_counted_as_they_are_taken():
    seen = [(item, shown()[0].done) for item in counted("abc", "letters", unit="letters")]
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert shown() == ()
