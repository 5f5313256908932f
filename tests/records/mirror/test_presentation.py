"""What a study's runs say to a person follows from its records, and is written once."""

import pytest

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.mirror.artifacts import log_texts
from pipeline.records.mirror.differences import compare
from pipeline.records.mirror.notes import NOTE, note_tags, study_note, trial_note
from pipeline.records.mirror.prepared_view import KEY
from pipeline.records.mirror.presentation import additions
from pipeline.records.mirror.reconcile import read_runs
from testing.records import made_trial
from tests.conftest import STUDY_UID

ACCURACY = OBJECTIVES["val_accuracy"]
TRIALS = [
    made_trial(
        0,
        value=0.5,
        hyperparameters={"optimizer": "sgd", "momentum": 0.9},
        params={"optimizer": "sgd"},
        intermediate_values={0: 0.4, 1: 0.5},
    ),
    made_trial(1, value=0.75, hyperparameters={"optimizer": "adam"}, params={"optimizer": "adam"}),
]


@pytest.fixture
def runs(open_runs):
    with open_runs() as runs:
        runs.reconcile(TRIALS)
        yield runs


def of_trial(runs, number):
    (run,) = runs.runs_of(TRIALS[number].uid(study_uid=STUDY_UID))
    return run.data


def test_what_does_not_apply_is_marked_and_no_difference(runs):
    runs.present(TRIALS)
    assert of_trial(runs, 1).params == {"optimizer": "adam", "momentum": "-"}
    found = read_runs(runs.store, runs.parent)
    assert [one.kind for one in compare(TRIALS, found, metric="val_accuracy")] == ["stale"]


def test_another_value_where_nothing_applies_is_a_difference(runs):
    run_id = runs.runs_of(TRIALS[1].uid(study_uid=STUDY_UID))[0].info.run_id
    runs.store.client.log_param(run_id, "momentum", "0.9")
    found = compare(TRIALS, read_runs(runs.store, runs.parent), metric="val_accuracy")
    assert {(one.kind, one.expected) for one in found} == {
        ("hyperparameters", "momentum=(none)"),
        ("stale", "ended"),
    }


def test_a_trial_that_was_cut_off_says_nothing_of_the_others(runs):
    cut_off = made_trial(2, "FAIL", params={"optimizer": "adam"})
    runs.reconcile([*TRIALS, cut_off])
    runs.present([*TRIALS, cut_off])
    (run,) = runs.runs_of(cut_off.uid(study_uid=STUDY_UID))
    assert run.data.params == {"optimizer": "adam"}


def test_it_is_written_once(runs):
    assert additions(runs.store, runs.parent, TRIALS)
    assert runs.present(TRIALS) == 3
    assert not additions(runs.store, runs.parent, TRIALS)
    assert runs.present(TRIALS) == 0


def test_it_is_the_same_after_everything_was_lost(runs):
    runs.present(TRIALS)
    before = of_trial(runs, 0)
    for number in range(2):
        runs.forget(TRIALS[number].uid(study_uid=STUDY_UID))
    runs.reconcile(TRIALS)
    runs.present(TRIALS)
    after = of_trial(runs, 0)
    assert after.tags[NOTE] == before.tags[NOTE]
    assert after.params == before.params


def test_a_description_of_a_users_own_stays(runs):
    run_id, experiment = runs.run_id, runs.parent.experiment
    runs.store.client.set_tag(run_id, NOTE, "mine")
    runs.present(TRIALS)
    runs.store.client.set_experiment_tag(experiment, NOTE, "ours, I think")
    runs.present(TRIALS)
    assert runs.store.client.get_run(run_id).data.tags[NOTE] == "mine"
    assert runs.store.client.get_experiment(experiment).tags[NOTE] == "ours, I think"


def test_a_description_of_ours_follows_the_study():
    first = note_tags("one trial", {})
    assert note_tags("one trial", first) == {}
    # Killed between the two: it is ours all the same.
    assert note_tags("one trial", {NOTE: first[NOTE]}) == {
        name: text for name, text in first.items() if name != NOTE
    }
    assert note_tags("two trials", first)[NOTE] == "two trials"
    assert note_tags("two trials", {**first, NOTE: "one trial, and a thought"}) == {}


def test_another_checkout_in_the_same_store_has_a_view_of_its_own(runs, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    found = additions(runs.store, runs.parent, TRIALS).experiment
    assert [key for key in found if key.startswith(KEY)] == [f"{KEY}transfer"]
    shared = type(runs.store)(root=runs.store.root / "b", uri=runs.store.uri, client=runs._client)
    found = additions(shared, runs.parent, TRIALS).experiment
    (key,) = [key for key in found if key.startswith(f"{KEY}transfer-")]
    assert len(key) == len(f"{KEY}transfer-01234567")


def test_figures_lie_beside_the_studys_own_run(runs):
    log_texts(
        runs.store, dataset="digits", study_uid=STUDY_UID, texts={"figures/history.svg": "<svg/>"}
    )
    log_texts(runs.store, dataset="digits", study_uid="other", texts={"figures/other.svg": ""})
    log_texts(runs.store, dataset="nothing", study_uid=STUDY_UID, texts={"figures/other.svg": ""})
    files = runs.store.client.list_artifacts(runs.run_id, "figures")
    assert [file.path for file in files] == ["figures/history.svg"]


def test_the_best_trial_of_a_study_is_named_and_linked():
    note = study_note(
        "transfer",
        TRIALS,
        objective=ACCURACY,
        runs={1: "0f"},
        page="experiments/1/runs?x",
        experiment="1",
    )
    assert "2 trials, of which 2 ran to their end" in note
    assert "Best: trial 1, 0.7500." in note
    assert "[All trials side by side](#/experiments/1/runs?x)" in note
    assert "[1](#/experiments/1/runs/0f?workflowType=machine_learning)" in note


def test_a_study_without_a_complete_trial_says_so():
    note = study_note(
        "transfer",
        [made_trial(0, "FAIL")],
        objective=ACCURACY,
        runs={},
        page="",
        experiment="1",
    )
    assert "1 trial, of which 1 failed" in note
    assert "None is complete yet." in note


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"value": 0.5}, "ran to its end (`FINISHED`)"),
        ({"state": "PRUNED"}, "stopped early, since others were better at the same epoch (`KILL"),
        ({"state": "PRUNED", "outcome": "diverged"}, "diverged (`KILLED`)"),
        ({"state": "FAIL", "reason": "a worker died"}, "failed (`FAILED`): a worker died"),
        (
            {"state": "FAIL", "retry": "free", "reason": "the time was up"},
            "was cut off (`FAILED`): the time was up",
        ),
        ({"rung": 2, "share": 0.25, "promoted_from": 7}, "25% of a training. It goes on with tr"),
        ({"intermediate_values": {0: 0.5, 1: 0.75, 2: 0.75}}, "0.7500, at epoch 1 of 0 to 2"),
    ],
)
def test_a_trial_says_what_became_of_it(told, words):
    assert words in trial_note(made_trial(3, **told), "transfer", objective=ACCURACY)
