"""While a budget runs, it is said what is spent, what is left, and what comes next."""

import os
import time

import pytest
import yaml

from pipeline.clock import CLOCK_FILE, Spent
from pipeline.files import write_json
from pipeline.whole_run import DURATIONS_FILE, Run, running_stage, stage_names, whole_run
from tests.conftest import ROOT

STAGES = ["fetch", "plan", "search@a", "search@b", "confirm@a", "confirm@b", "evaluate", "report"]
DONE = {
    "plan": Spent(seconds=60, ended_for=900.0),
    "search@a": Spent(seconds=90, key="a", ended_for=900.0),
    "search@b": Spent(seconds=150, key="b"),
}


def told(stage="search@b", spent=DONE, budget_seconds=900.0, **durations):
    return whole_run(stage, STAGES, spent, budget_seconds, durations)


def test_spent_left_and_what_comes_next_are_said():
    assert told() == (
        "budget 15:00: 5:00 spent, at most 10:00 left, then confirm@a, confirm@b; in the end "
        "evaluate, report"
    )


def test_what_the_last_stages_took_the_last_time_is_said_where_all_is_known():
    assert told(evaluate=40.0, report=7.0).endswith("evaluate, report (0:47 the last time)")
    assert told(evaluate=40.0).endswith("evaluate, report")


def test_what_a_study_took_that_is_gone_is_not_counted():
    spent = {**DONE, "search@gone": Spent(seconds=500, ended_for=900.0)}
    assert told(spent=spent) == told()


def test_a_budget_that_is_overdrawn_says_by_how_much():
    assert told(budget_seconds=240.0).startswith("budget 4:00: 5:00 spent, 1:00 over it, then ")


def test_of_what_has_ended_for_another_budget_more_is_to_come():
    spent = {**DONE, "search@b": Spent(seconds=150, key="b", ended_for=900.0)}
    assert "search@b" in told(stage="search@a", spent=spent, budget_seconds=1800.0)
    assert "search@b" not in told(stage="search@a", spent=spent)


def test_after_the_last_stage_of_the_budget_nothing_of_it_is_left_to_say():
    spent = {name: Spent(seconds=100, ended_for=900.0) for name in STAGES[1:6]}
    assert told("evaluate", spent) == "budget 15:00: 8:20 spent; in the end report"


def test_without_a_budget_only_what_is_spent_is_said():
    assert told(budget_seconds=None).startswith("run: 5:00 spent, then confirm@a")


@pytest.mark.parametrize("stage", ["fetch", "elsewhere"])
def test_before_the_clock_begins_nothing_is_said(stage):
    assert told(stage) is None


def test_the_stages_are_those_of_the_graph_in_its_order():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    names = stage_names(ROOT)
    assert list(dict.fromkeys(name.partition("@")[0] for name in names)) == list(graph)
    assert "search@transfer" in names


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {plan: {}, search: {foreach: x}, report: {}}")
    (tmp_path / "params.yaml").write_text("budget: 10m\nstudies: {one: {}}")
    return tmp_path


def test_what_a_stage_took_is_known_the_next_time(checkout):
    Run("report", checkout).note(12.34)
    assert Run("report", checkout).last_time == 12.3
    assert (
        Run("plan", checkout)
        .line()
        .endswith("then search@one; in the end report (0:12 the last time)")
    )


def test_of_what_is_no_stage_nothing_is_kept(checkout):
    Run("plan --dry-run", checkout).note(12.34)
    assert not (checkout / DURATIONS_FILE).exists()


def test_params_that_cannot_be_read_are_left_to_the_stage(checkout):
    (checkout / "params.yaml").write_text("budget: [")
    assert Run("plan", checkout).line() is None


def test_a_stage_runs_as_long_as_it_writes_its_time(checkout):
    spent = {"plan": Spent(seconds=1.0, ended_for=600.0), "search@one": Spent(seconds=1.0)}
    write_json(checkout / CLOCK_FILE, {})
    assert running_stage(checkout, spent) == "search@one"
    cut_off = {"confirm@one": Spent(seconds=1.0), **spent}
    assert running_stage(checkout, cut_off) == "search@one"
    hour_ago = time.time() - 3600
    os.utime(checkout / CLOCK_FILE, (hour_ago, hour_ago))
    assert running_stage(checkout, spent) is None
