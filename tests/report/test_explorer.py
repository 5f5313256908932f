"""Every trial is on the page, with what it can be filtered and drawn by."""

from dataclasses import replace

import pytest

from pipeline.report.explorer import health_of, view_trials
from pipeline.report.text import DASH
from testing.records import made_study, made_trial

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "num_layers": {"type": "int", "low": 1, "high": 3},
    "normalize_first": {"type": "choice", "choices": [False, True]},
    "momentum": {"type": "float", "low": 0.0, "high": 1.0},
    "units": {"type": "int", "low": 1, "high": 9},
}


def trial(number, value=0.5, state="COMPLETE", *, hyperparameters=None, **noted):
    values = {"learning_rate": 1e-3 * (number + 1), "num_layers": 1 + number % 3, "units": 7}
    own = {**values, "normalize_first": number % 2 == 1, **(hyperparameters or {})}
    return made_trial(number, state, value, hyperparameters=own, **noted)


def epoch(**health):
    return {"epoch": 0, "at_ms": 1, "metrics": {}, "health": health}


@pytest.fixture
def view(results):
    def of(*trials):
        study = results.studies[0]
        search = replace(made_study(*trials), space=SPACE)
        return view_trials(replace(results, studies=[replace(study, search=search)]))

    return of


def axes(found):
    return {axis["name"]: axis for axis in found["data"]["axes"]}


def test_every_attempt_has_a_row_and_a_place_in_the_data(results):
    found = view_trials(results)
    trials = [(s.name, t.number) for s in results.studies for t in s.search.trials]
    assert [row[0] for row in found["rows"]] == [f"{name} {number}" for name, number in trials]
    assert [(one["study"], one["number"]) for one in found["data"]["trials"]] == trials
    assert {len(row) for row in found["rows"]} == {len(found["columns"])}
    assert {len(one["at"]) for one in found["data"]["trials"]} == {len(found["data"]["axes"])}


def test_an_axis_keeps_its_scale_and_what_never_changes_has_none(view):
    found = axes(view(trial(0), trial(1)))
    assert found["learning_rate"]["log"]
    assert not found["num_layers"]["log"]
    assert found["normalize_first"]["choices"] == ["false", "true"]
    assert "units" not in found


def test_a_choice_is_its_place_and_what_does_not_exist_is_none(view):
    found = view(
        trial(0, hyperparameters={"momentum": 0.1}),
        trial(1, hyperparameters={"momentum": 0.2}),
        trial(2),
    )
    places = {name: place for place, name in enumerate(axes(found))}
    at = [one["at"] for one in found["data"]["trials"]]
    assert [row[places["normalize_first"]] for row in at] == [0, 1, 0]
    assert [row[places["momentum"]] for row in at] == [0.1, 0.2, None]


def test_true_is_not_one(view):
    values = [{"normalize_first": value} for value in (1, True)]
    found = view(*(trial(number, hyperparameters=own) for number, own in enumerate(values)))
    assert axes(found)["normalize_first"]["choices"] == ["true", "1"]


def test_filters_name_rungs_states_and_health_as_they_occur(view):
    found = view(
        trial(0, share=1 / 3, rung=0, epochs=[epoch()]),
        trial(1, share=1.0, rung=1, promoted_from=0),
        trial(2, None, "FAIL", share=1.0, rung=1, epochs=[epoch(saturated=[1.0])]),
    )
    assert found["filters"] == [
        ("study", "Study", ["transfer"]),
        ("rung", "Trained by", ["1/3 of a training", "whole trainings"]),
        ("state", "State", ["complete", "failed"]),
        ("health", "Health", ["healthy", DASH, "vanishing"]),
    ]
    assert [row[3] for row in found["rows"]] == ["healthy", DASH, "vanishing"]


def test_without_verdicts_there_is_no_column_for_them(view):
    found = view(trial(0), trial(1))
    assert "Health" not in found["columns"]
    assert [name for name, _, _ in found["filters"]] == ["study", "rung", "state"]
    assert health_of(trial(0)) == ""
