"""The one clock of a run: what each stage has left, also after it was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.clock import Clock, Spent, allotted, weights
from pipeline.files import read_json, write_json
from pipeline.processes import core_seconds

ROOT = Path(__file__).parents[1]
SHARES = weights({"scratch": "none", "transfer": "auto"})
BUDGET = 1000.0


def spent(**seconds):
    return {name.replace("_", "@"): Spent(seconds=value) for name, value in seconds.items()}


def ended(seconds, budget=BUDGET):
    return Spent(seconds=seconds, key="a", ended_for=budget)


def test_two_studies_that_are_searched_at_once_each_have_their_time(tmp_path):
    code = (
        "import sys; from pathlib import Path; from pipeline.clock import Clock, Spent\n"
        "for n in range(60): Clock(Path(sys.argv[1]), None)._write(sys.argv[2], Spent(seconds=n))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), f"search@{name}"], cwd=ROOT)
        for name in ("scratch", "transfer")
    ]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    found = Clock(tmp_path, None).read()
    assert {name: one.seconds for name, one in found.items()} == {
        "search@scratch": 59,
        "search@transfer": 59,
    }


def test_all_stages_together_are_allotted_what_plan_and_embed_leave():
    before = spent(plan=50.0, embed=100.0)
    total = sum(allotted(stage, before, SHARES, BUDGET) for stage in SHARES)
    # The least that each has raises the baseline's confirmation a little.
    assert 970 - 150 <= total <= 970 - 150 + 2 * 30


def test_the_baseline_has_a_fifth_of_a_study_with_a_base():
    large = 100_000.0
    both = [allotted(f"search@{name}", {}, SHARES, large) for name in ("scratch", "transfer")]
    assert both[0] == pytest.approx(0.2 * both[1])


def test_what_a_stage_did_not_need_goes_to_those_after_it():
    without = allotted("search@transfer", {}, SHARES, BUDGET)
    early = {"search@scratch": ended(1.0)}
    assert allotted("search@transfer", early, SHARES, BUDGET) > without
    late = {"search@scratch": ended(300.0)}
    assert allotted("search@transfer", late, SHARES, BUDGET, is_new=False) < without


def test_a_stage_that_has_spent_nothing_has_its_fair_share():
    others = {stage: ended(500.0) for stage in SHARES if stage != "confirm@transfer"}
    # Two confirmations keep 30 s each; of the rest 1 of all weights, which are 3.6.
    fair = 30 + (0.97 * BUDGET - 60) / 3.6
    assert allotted("confirm@transfer", others, SHARES, BUDGET) == pytest.approx(fair)
    assert allotted("confirm@transfer", others, SHARES, BUDGET, is_new=False) == 30.0


def test_where_others_were_late_a_stage_does_less():
    # A fifth of a study's time is for the baseline, which took 75 s more: of 808 s for `transfer`,
    # 539 of them for its search, 194 are left.
    late = {
        "search@scratch": ended(158.0),
        "confirm@scratch": ended(79.0),
        "search@transfer": ended(539.0),
    }
    assert allotted("confirm@transfer", late, SHARES, BUDGET) == pytest.approx(194.0, abs=1.0)


def test_what_a_confirmation_costs_in_any_case_is_no_searchs_to_take():
    # CIFAR-10 in five minutes: `plan` and `embed` leave 146 s.
    before, budget = spent(plan=47.0, embed=98.0), 300.0
    parts = {stage: allotted(stage, before, SHARES, budget) for stage in SHARES}
    assert min(parts["confirm@scratch"], parts["confirm@transfer"]) >= 0.1 * budget
    assert sum(parts.values()) == pytest.approx(146.0, abs=1.0)


def test_of_many_studies_each_has_less_of_a_short_budget():
    shares = weights({f"study-{number}": "auto" for number in range(9)})
    before, budget = spent(plan=30.0, embed=60.0), 300.0
    parts = {stage: allotted(stage, before, shares, budget) for stage in shares}
    # The least that each has, 9 s, raises them a little.
    assert sum(parts.values()) <= 201 + 9 * 9


def test_a_study_that_was_renamed_does_not_count_twice():
    before = {"search@earlier": ended(500.0), "plan": ended(100.0)}
    alone = {"plan": ended(100.0)}
    assert allotted("search@transfer", before, SHARES, BUDGET) == pytest.approx(
        allotted("search@transfer", alone, SHARES, BUDGET)
    )


def test_nothing_is_written_where_a_checkout_was(tmp_path):
    root = tmp_path / "checkout"
    root.mkdir()
    with Clock(root, BUDGET).running("embed"):
        root.rename(tmp_path / "elsewhere")
    assert not root.exists()


def test_a_stage_that_ended_under_another_budget_is_still_to_come():
    before = {"search@scratch": ended(60.0, budget=BUDGET / 2)}
    assert allotted("search@transfer", before, SHARES, BUDGET) == pytest.approx(
        allotted("search@transfer", {}, SHARES, BUDGET)
    )


def test_where_all_is_spent_a_stage_has_its_least_share():
    before = spent(plan=50.0, embed=5000.0)
    assert allotted("search@transfer", before, SHARES, BUDGET) == 30.0


def test_a_stage_counts_from_the_start_of_its_process(tmp_path):
    clock = Clock(tmp_path, BUDGET)
    with clock.running("search@transfer", key="a"):
        pass
    found = clock.read()["search@transfer"]
    assert found.seconds > 0.2
    assert found.ended_for == BUDGET


def test_what_children_use_of_the_cores_counts(tmp_path):
    clock = Clock(tmp_path, BUDGET)
    burn = "import time\nwhile time.process_time() < 1: pass"
    with clock.running("plan"):
        before = clock.read()["plan"].core_seconds
        subprocess.run([sys.executable, "-c", burn], check=True)  # Has ended.
        command = [sys.executable, "-c", f"{burn}\nprint(flush=True)\ninput()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, **pipes) as one:
            one.stdout.readline()  # Runs, and has burnt its second.
            among = core_seconds()
            one.communicate(b"\n")
    assert 1.9 < among - before < 4
    assert clock.read()["plan"].core_seconds >= among - 0.1


def ends_in(clock, stage="search@transfer"):
    return clock.ends(stage, SHARES) - time.time()


def test_what_was_spent_counts_for_the_same_study_and_no_other(tmp_path):
    write_json(
        tmp_path / "mlruns/clock.json",
        {"search@transfer": {"seconds": 400.0, "key": "a", "ended_for": None}},
    )
    # Large beside the age of this process, from whose start a stage counts.
    clock = Clock(tmp_path, 100 * BUDGET)
    with clock.running("search@transfer", key="a"):
        again = ends_in(clock)
    with clock.running("search@transfer", key="b"):
        other = ends_in(clock)
    assert other - again == pytest.approx(400.0, abs=2.0)


def test_a_stage_that_failed_has_not_ended(tmp_path):
    clock = Clock(tmp_path, BUDGET)
    with pytest.raises(KeyError), clock.running("embed"):
        raise KeyError
    assert clock.read()["embed"].ended_for is None


def test_a_new_search_forgets_the_confirmation_of_another_study(tmp_path):
    clock = Clock(tmp_path, BUDGET)
    for key in "ab":
        with clock.running("search@transfer", key=key, next_stage="confirm@transfer"):
            pass
        assert "confirm@transfer" not in clock.read()
        with clock.running("confirm@transfer", key=key):
            pass
    with clock.running("search@transfer", key="b", next_stage="confirm@transfer"):
        assert "confirm@transfer" in clock.read()


def test_a_new_run_forgets_what_was_spent_unless_its_first_stage_was_cut_off(tmp_path):
    clock = Clock(tmp_path, BUDGET)
    with pytest.raises(KeyError), clock.running("plan"):
        raise KeyError
    clock.reset("plan")
    before = clock.read()["plan"].seconds
    with clock.running("plan"):
        pass
    assert clock.read()["plan"].seconds > before
    with clock.running("embed"):
        pass
    clock.reset("plan")
    assert clock.read() == {}


def test_a_copy_goes_on_from_the_checkouts_clock_and_leaves_it_alone(tmp_path):
    with Clock(tmp_path, BUDGET).running("plan"):
        pass
    before = Clock(tmp_path, BUDGET).read()
    root = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    root.mkdir(parents=True)
    copy = Clock(root, BUDGET)
    assert copy.read() == before
    with copy.running("search@transfer", key="a"):
        pass
    assert set(copy.read()) == {"plan", "search@transfer"}
    copy.reset("plan")
    assert copy.read() == {}
    assert Clock(tmp_path, BUDGET).read() == before


def test_without_a_budget_nothing_ends(tmp_path):
    clock = Clock(tmp_path, None)
    with clock.running("search@transfer", key="a"):
        assert clock.ends("search@transfer", SHARES) is None


def test_the_time_of_a_stage_that_is_killed_counts(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom pipeline import clock\n"
        "clock.WRITE_SECONDS = 0.1\n"
        "with clock.Clock(Path(sys.argv[1]), 1000.0).running('search@transfer', key='a'):\n"
        "    print('in', flush=True)\n    time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    time.sleep(1.0)
    child.send_signal(signal.SIGKILL)
    child.wait()
    found = read_json(tmp_path / "mlruns/clock.json")["search@transfer"]
    assert found["seconds"] >= 0.9
    assert found["ended_for"] is None
