"""Which training of a confirmation is next, and for which there is time."""

import math

import pytest

from pipeline.search.candidates import Candidate
from pipeline.search.rounds import Rounds
from pipeline.training.messages import TrialSpec
from pipeline.trials.record import TrialRecord

NAN = math.nan


def candidate(number, *, seconds=10.0, seeds=3, share=1.0):
    trial = TrialRecord(
        number=number,
        state="COMPLETE",
        value=0.9,
        attributes={"metrics": {"training_seconds": seconds}, "share": share},
    )
    specs = tuple(
        TrialSpec(uid=f"{number}-{seed}", hyperparameters={}, seed=seed, epochs=1)
        for seed in range(seeds)
    )
    return Candidate(trial, specs)


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def trained(planned, *, ends, kept=(), lasts=1.0, reached=None):
    """The uids that one worker trains, where each takes so many times what it took before."""
    clock = Time()
    rounds, done = Rounds(planned, dict.fromkeys(kept, 0.5), ends=ends, clock=clock), []
    seconds = {s.uid: c.trial.metrics["training_seconds"] for c in planned for s in c.specs}
    while spec := rounds.next(num_workers=1):
        clock.now += lasts * seconds[spec.uid]
        rounds.ended(spec.uid, (reached or {}).get(spec.uid, 0.5))
        done.append(spec.uid)
    return done


def test_without_an_end_all_are_trained_first_seeds_first():
    planned = [candidate(7), candidate(3)]
    assert trained(planned, ends=None) == ["7-0", "3-0", "7-1", "3-1", "7-2", "3-2"]


def test_a_further_seed_is_for_all_candidates_that_there_is_time_for():
    planned = [candidate(7), candidate(3)]
    assert trained(planned, ends=45.0) == ["7-0", "3-0", "7-1", "3-1"]
    assert trained(planned, ends=30.0) == ["7-0", "3-0"]


def test_where_there_is_time_for_some_the_best_so_far_have_a_further_seed():
    planned = [candidate(7), candidate(3), candidate(5)]
    reached = {"7-0": 0.7, "3-0": 0.9, "5-0": 0.8}
    assert trained(planned, ends=56.0, reached=reached)[3:] == ["3-1", "5-1"]
    # The mean of both seeds counts, and not the better one.
    reached |= {"3-1": 0.1}
    assert trained(planned, ends=67.0, reached=reached)[3:] == ["3-1", "5-1", "7-1"]
    assert trained(planned, ends=74.0, reached=reached)[6:] == ["5-2"]


def test_the_best_that_takes_too_long_leaves_its_time_to_others():
    planned = [candidate(7, seconds=30.0), candidate(3)]
    assert trained(planned, ends=55.0, reached={"7-0": 0.9})[2:] == ["3-1"]


def test_the_best_so_far_has_its_seed_though_it_was_planned_last():
    """A round that seemed to fit, by the sum of its seconds, does not: workers cannot share one."""
    clock, planned = Time(), [candidate(number) for number in range(1, 6)]
    rounds, running, done = Rounds(planned, {}, ends=50.0, clock=clock), [], []
    while True:
        while len(running) < 2 and (spec := rounds.next(num_workers=2)):
            running.append(spec)
        if not running:
            break
        clock.now += 10.0
        for spec in running:
            rounds.ended(spec.uid, 0.95 if spec.uid.startswith("5") else 0.9)
        done, running = [*done, *(spec.uid for spec in running)], []
    assert done == ["1-0", "2-0", "3-0", "4-0", "5-0", "1-1", "5-1", "2-1"]


def test_who_is_the_best_is_known_when_all_of_a_round_have_ended():
    clock = Time()
    rounds = Rounds([candidate(7), candidate(3)], {}, ends=30.0, clock=clock)
    first, second = (rounds.next(num_workers=2) for _ in range(2))
    clock.now = 10.0
    rounds.ended(first.uid, 0.8)
    # For both there is no time, and the second may be the better one.
    clock.now = 15.0
    assert rounds.next(num_workers=1) is None
    rounds.ended(second.uid, 0.9)
    assert rounds.next(num_workers=1).uid == "3-1"
    clock.now = 25.0
    rounds.ended("3-1", 0.9)
    assert rounds.next(num_workers=1) is None


def test_one_that_diverged_has_no_further_seed():
    planned = [candidate(7), candidate(3)]
    assert trained(planned, ends=None, reached={"7-0": NAN}) == ["7-0", "3-0", "3-1", "3-2"]


def test_where_the_first_one_diverges_the_next_is_trained_though_it_is_late():
    planned = [candidate(7), candidate(3), candidate(5)]
    assert trained(planned, ends=5.0) == ["7-0"]
    assert trained(planned, ends=5.0, reached={"7-0": NAN}) == ["7-0", "3-0"]


def test_that_may_be_one_that_did_not_fit_beside_it():
    clock = Time()
    planned = [candidate(7, seeds=1), candidate(3, seconds=30.0, seeds=1)]
    rounds = Rounds(planned, {}, ends=5.0, clock=clock)
    first = rounds.next(num_workers=2)
    assert (first.uid, rounds.next(num_workers=2)) == ("7-0", None)
    clock.now = 10.0
    rounds.ended(first.uid, NAN)
    assert rounds.next(num_workers=2).uid == "3-0"


def test_a_seed_of_one_that_diverged_later_is_not_enough():
    planned = [candidate(7), candidate(3, seconds=20.0)]
    assert trained(planned, ends=24.0) == ["7-0", "7-1"]
    assert trained(planned, ends=24.0, reached={"7-1": NAN}) == ["7-0", "7-1", "3-0"]


def test_of_what_was_kept_all_may_have_diverged():
    clock = Time()
    rounds = Rounds([candidate(7), candidate(3)], {"7-0": NAN}, ends=0.0, clock=clock)
    assert rounds.next(num_workers=1).uid == "3-0"


def test_how_soon_one_diverged_says_nothing_of_how_long_others_take():
    clock = Time()
    planned = [candidate(number, seconds=100.0, seeds=1) for number in (7, 3, 5)]
    rounds = Rounds(planned, {}, ends=160.0, clock=clock)
    clock.now = 1.0
    rounds.ended(rounds.next(num_workers=1).uid, NAN)
    assert rounds.next(num_workers=1).uid == "3-0"
    clock.now = 101.0
    rounds.ended("3-0", 0.5)
    assert rounds.next(num_workers=1) is None


def test_one_that_is_owed_after_a_divergence_and_lost_is_tried_again():
    clock = Time()
    rounds = Rounds([candidate(7, seeds=1), candidate(3, seeds=1)], {}, ends=0.0, clock=clock)
    rounds.ended(rounds.next(num_workers=1).uid, NAN)
    second = rounds.next(num_workers=1)
    rounds.again(second)
    assert rounds.next(num_workers=1) == second


def test_a_first_seed_that_is_lost_late_goes_before_further_ones():
    rounds = Rounds([candidate(number) for number in (7, 3, 5)], {}, ends=None, clock=Time())
    first = {one.uid: one for one in (rounds.next(num_workers=3) for _ in range(3))}
    rounds.ended("7-0", 0.9)
    rounds.ended("5-0", 0.8)
    assert rounds.next(num_workers=3).uid == "7-1"
    rounds.again(first["3-0"])
    assert rounds.next(num_workers=3).uid == "3-0"


def test_one_whose_candidate_diverged_and_that_is_lost_is_not_tried_again():
    clock = Time()
    rounds = Rounds([candidate(7, seeds=2), candidate(3, seeds=2)], {}, ends=None, clock=clock)
    specs = [rounds.next(num_workers=3) for _ in range(3)]
    assert [spec.uid for spec in specs] == ["7-0", "3-0", "7-1"]
    # Something has come of another, so that nothing begins anew.
    rounds.ended("3-0", 0.5)
    rounds.ended("7-0", NAN)
    rounds.again(specs[2])
    assert rounds.next(num_workers=3).uid == "3-1"
    assert rounds.next(num_workers=3) is None


def test_what_has_diverged_while_its_next_one_waits_ends_that_too():
    clock = Time()
    rounds = Rounds([candidate(7)], {}, ends=None, clock=clock)
    first, second = (rounds.next(num_workers=2) for _ in range(2))
    assert (first.uid, second.uid) == ("7-0", "7-1")
    rounds.again(second)
    rounds.ended(first.uid, NAN)
    assert rounds.next(num_workers=2) is None


def test_there_is_always_a_first_one():
    assert trained([candidate(7, seconds=100.0), candidate(3)], ends=1.0) == ["7-0"]


def handed_out(rounds, *, num_workers):
    """The uids of what is started at the same time."""
    started = (rounds.next(num_workers=num_workers) for _ in range(num_workers))
    return [spec.uid for spec in started if spec]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([candidate(3)], ["7-0", "3-0"]),
        ([candidate(5, seconds=12.0), candidate(3)], ["7-0", "3-0"]),
        ([candidate(5, seconds=12.0)], ["7-0", "7-1"]),
    ],
)
def test_beside_a_first_one_that_is_late_another_is_trained_that_ends_with_it(others, expected):
    clock = Time()
    rounds = Rounds([candidate(7), *others], {}, ends=1.0, clock=clock)
    assert handed_out(rounds, num_workers=2) == expected
    clock.now = 3.0
    assert rounds.next(num_workers=2) is None


def test_once_it_has_begun_nothing_may_end_after_it():
    clock = Time()
    rounds = Rounds([candidate(7), candidate(3)], {}, ends=1.0, clock=clock)
    assert handed_out(rounds, num_workers=1) == ["7-0"]
    clock.now = 3.0
    assert handed_out(rounds, num_workers=2) == []


@pytest.mark.parametrize(("top", "seeds", "seconds", "workers"), [(1, 60, 1, 2), (3, 20, 2, 4)])
def test_no_training_draws_the_end_further_by_having_begun(top, seeds, seconds, workers):
    planned = [candidate(number, seconds=seconds, seeds=seeds) for number in range(top)]
    clock = Time()
    rounds, running, last = Rounds(planned, {}, ends=5.0, clock=clock), {}, 0.0
    for step in range(600):
        clock.now = step / 10
        for uid in [uid for uid, over in running.items() if over <= clock.now]:
            del running[uid]
            rounds.ended(uid, 0.5)
        # One at a time, so that some training has always just begun.
        if len(running) < workers and (spec := rounds.next(num_workers=workers)):
            last = running[spec.uid] = clock.now + seconds
    assert last <= 5.0


def test_what_does_not_fit_beside_the_first_one_may_fit_after_it():
    clock = Time()
    rounds = Rounds([candidate(7)], {}, ends=12.0, clock=clock)
    first = rounds.next(num_workers=2)
    clock.now = 2.0
    assert rounds.next(num_workers=2) is None
    clock.now = 3.0  # Faster than foreseen.
    rounds.ended(first.uid, 0.5)
    assert rounds.next(num_workers=2).uid == "7-1"


def test_what_is_beside_the_first_one_is_not_tried_again_when_it_is_late():
    clock = Time()
    rounds = Rounds([candidate(7), candidate(3)], {}, ends=1.0, clock=clock)
    _, beside = (rounds.next(num_workers=2) for _ in range(2))
    clock.now = 8.0
    rounds.again(beside)
    assert rounds.next(num_workers=2) is None


def test_of_the_first_seeds_those_that_there_is_time_for_are_trained():
    planned = [candidate(7), candidate(5, seconds=100.0), candidate(3)]
    assert trained(planned, ends=25.0) == ["7-0", "3-0"]


def test_a_candidate_of_a_lower_rung_takes_as_many_times_longer():
    planned = [candidate(7, seeds=1), candidate(5, seeds=1, share=1 / 9)]
    assert trained(planned, ends=50.0) == ["7-0"]


def test_a_machine_that_became_slower_does_less():
    planned = [candidate(7), candidate(3)]
    assert trained(planned, ends=60.0, lasts=2.0) == ["7-0", "3-0"]


def test_what_was_kept_is_not_trained():
    planned = [candidate(7), candidate(3)]
    assert trained(planned, ends=None, kept=["7-0", "3-1"]) == ["3-0", "7-1", "7-2", "3-2"]


@pytest.mark.parametrize("ends", [None, 1000.0])
def test_a_round_that_was_kept_whole_ends_nothing(ends):
    """As where more seeds are wanted, or a kill came between two rounds."""
    planned = [candidate(7), candidate(3)]
    assert trained(planned, ends=ends, kept=["7-0", "3-0"]) == ["7-1", "3-1", "7-2", "3-2"]


def test_whoever_there_was_no_time_for_holds_up_no_further_seed():
    planned = [candidate(7), candidate(5, seconds=400.0), candidate(3)]
    assert trained(planned, ends=300.0) == ["7-0", "3-0", "7-1", "3-1", "7-2", "3-2"]


def test_a_first_training_that_was_lost_is_tried_again_though_it_is_late():
    rounds = Rounds([candidate(7)], {}, ends=1.0, clock=Time())
    first = rounds.next(num_workers=1)
    rounds.again(first)
    assert rounds.next(num_workers=1) is first


@pytest.mark.parametrize("ends", [None, 100.0])
def test_a_lost_training_is_next(ends):
    rounds = Rounds([candidate(7), candidate(3)], {}, ends=ends, clock=Time())
    first = rounds.next(num_workers=1)
    rounds.again(first)
    assert rounds.next(num_workers=1) is first
