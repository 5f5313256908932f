"""A user's own trial gets into the queue, or one line says why not."""

import pytest

from pipeline.errors import ConfigError, DataIntegrityError, StudyError
from pipeline.records.lock import study_lock
from pipeline.records.studies import trial_records
from pipeline.studies.described import load_current
from tests.commands.repository import run

WHOLE = ("units=32", "activation=selu", "learning_rate=1e-2", "clipping=none")


def states(study):
    return [trial.state for trial in trial_records(study)]


def test_the_next_trial_of_the_search_is_the_queued_one(repository, capsys):
    study = repository.study()
    assert run("enqueue", "tiny", *WHOLE) == 0
    assert "tiny: queued as trial 0: units=32, activation=selu" in capsys.readouterr().out
    asked = repository.ask(study).hyperparameters
    assert asked["units"] == 32
    assert (asked["activation"], asked["learning_rate"]) == ("selu", 0.01)
    assert asked["clipping"] == "none"


def test_what_is_not_given_is_sampled(repository):
    study = repository.study()
    run("enqueue", "tiny", "units=17")
    asked = repository.ask(study).hyperparameters
    assert asked["units"] == 17
    assert 0.0001 <= asked["learning_rate"] <= 1


def test_it_comes_before_what_the_sampler_says_also_in_a_study_that_goes_on(repository):
    study = repository.study()
    repository.train(study)
    run("enqueue", "tiny", *WHOLE)
    assert repository.train(study).hyperparameters["units"] == 32


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unit=32"], r"unit: Unknown hyperparameter: 'unit'. Did you mean 'units'\?"),
        (["units=65"], "units: lies outside what is searched, 16 to 64. Received: 65"),
        (["units=32.5"], "units: lies outside what is searched, 16 to 64. Received: 32.5"),
        (["activation=elu"], "activation: lies outside what is searched, one of relu, selu"),
        (["learning_rate=fast"], "learning_rate: lies outside .* Received: 'fast'"),
        (["learning_rate=.nan"], "learning_rate: lies outside .* Received: nan"),
        (["optimizer=sgd"], "optimizer: this study does not search it"),
        (["early_stopping=metric"], "early_stopping: is fixed to 'none'. Received: 'metric'"),
        (["units"], "given as key=value. Received: 'units'"),
        (["units="], "given as key=value. Received: 'units='"),
        (["units=32", "units=33"], "units is given twice"),
        (["units=[32"], r"units must be a number or a word. Received: 'units=\[32'"),
        (["units={a: 1}"], "units: lies outside what is searched"),
        (
            ["clipping=none", "clipping_threshold=1"],
            "clipping_threshold: exists only where clipping is clipnorm or clipvalue or "
            "global_clipnorm. Received: clipping='none'",
        ),
    ],
)
def test_what_cannot_be_tried_is_refused_and_not_queued(repository, words, message):
    study = repository.study()
    with pytest.raises(ConfigError, match=message) as refused:
        run("enqueue", "tiny", *words)
    assert "\n" not in str(refused.value)
    assert states(study) == []


def test_every_problem_is_said_at_once(repository):
    repository.study()
    with pytest.raises(ConfigError) as refused:
        run("enqueue", "tiny", "units=65", "unit=1")
    lines = str(refused.value).splitlines()
    assert len([line for line in lines if line.strip()]) == 2


def test_a_conditional_hyperparameter_is_taken_where_its_condition_is_open(repository):
    study = repository.study()
    run("enqueue", "tiny", "clipping_threshold=2", "clipping=clipvalue")
    assert repository.ask(study).hyperparameters["clipping_threshold"] == 2.0


def test_a_conditional_one_may_leave_its_condition_to_the_sampler(repository):
    study = repository.study()
    run("enqueue", "tiny", "clipping_threshold=2")
    assert trial_records(study)[0].queued == {"clipping_threshold": 2.0}


def test_one_that_waits_already_is_said_whatever_the_order_of_its_words(repository, capsys):
    study = repository.study()
    run("enqueue", "tiny", "units=32", "activation=selu")
    assert run("enqueue", "tiny", "activation=selu", "units=32") == 0
    assert "nothing queued: trial 0 is the same configuration and waits" in capsys.readouterr().out
    assert states(study) == ["WAITING"]


def test_one_that_is_being_trained_is_said(repository, capsys):
    study = repository.study()
    run("enqueue", "tiny", *WHOLE)
    repository.ask(study)
    run("enqueue", "tiny", *WHOLE)
    assert "trial 0 is the same configuration and is being trained" in capsys.readouterr().out
    assert states(study) == ["RUNNING"]


def test_one_that_was_tried_is_said_with_its_value(repository, capsys):
    study = repository.study()
    run("enqueue", "tiny", *WHOLE)
    repository.train(study)
    # 1.0e-2 is 1e-2.
    assert run("enqueue", "tiny", *WHOLE[:2], "learning_rate=1.0e-2", "clipping=none") == 0
    assert "was the same configuration and ended as COMPLETE with 0.7500" in capsys.readouterr().out
    assert states(study) == ["COMPLETE"]


def test_the_longest_training_of_one_that_was_tried_is_told(repository, capsys):
    study = repository.study()
    run("enqueue", "tiny", *WHOLE)
    repository.train(study, (0.5,), share=1 / 9)
    run("enqueue", "tiny", *WHOLE)
    assert "ended as COMPLETE with 0.5000, by 1/9 of a training" in capsys.readouterr().out


def test_what_other_code_made_of_one_is_no_reason_against_it(repository, capsys):
    study = repository.study()
    run("enqueue", "tiny", *WHOLE)
    repository.train(study, code_sha256="ab" * 32)
    run("enqueue", "tiny", *WHOLE)
    assert "queued as trial 1" in capsys.readouterr().out


def test_one_that_was_tried_is_queued_again_where_duplicates_are_replicated(repository, capsys):
    repository.set(duplicates="replicate")
    study = repository.study()
    run("enqueue", "tiny", *WHOLE)
    repository.train(study)
    run("enqueue", "tiny", *WHOLE)
    assert "it gets another seed" in capsys.readouterr().out
    assert states(study) == ["COMPLETE", "WAITING"]


def test_a_beginning_that_was_tried_is_another_trial(repository):
    study = repository.study()
    run("enqueue", "tiny", "units=32")
    repository.train(study)
    run("enqueue", "tiny", "units=32")
    assert states(study) == ["COMPLETE", "WAITING"]


def test_the_number_is_that_of_the_new_trial_where_an_earlier_one_was_alike(repository, capsys):
    study = repository.study()
    for number in range(2):
        run("enqueue", "tiny", "units=32")
        assert f"queued as trial {number}: units=32" in capsys.readouterr().out
        repository.train(study)


def test_a_study_with_its_target_says_what_to_raise(repository, capsys):
    repository.set(trials=2)
    study = repository.study()
    repository.train(study)
    repository.train(study, state="PRUNED")
    run("enqueue", "tiny", *WHOLE)
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == (
        "search.trials=2 leaves no room for it: run `dvc exp run -S search.trials=3`, or write "
        "that into params.yaml and run `dvc repro`."
    )


@pytest.mark.parametrize(
    ("budget", "timeout", "limits"),
    [
        ("5m", "none", "budget"),
        ("none", "9m", "search.timeout"),
        ("5m", "9m", "budget and search.timeout"),
    ],
)
def test_where_time_decides_it_says_which_must_be_larger(
    repository, capsys, budget, timeout, limits
):
    repository.document["budget"] = budget
    repository.set(trials="auto", timeout=timeout)
    repository.study()
    run("enqueue", "tiny", "units=32")
    assert f"The next `dvc repro` with a larger {limits} takes it" in capsys.readouterr().out


def test_room_is_counted_with_what_waits_already(repository, capsys):
    repository.set(trials=2)
    repository.study()
    run("enqueue", "tiny", "units=32")
    run("enqueue", "tiny", "units=33")
    assert "search.trials" not in capsys.readouterr().out
    run("enqueue", "tiny", "units=34")
    assert "-S search.trials=3" in capsys.readouterr().out


def test_a_search_that_is_going_on_is_named(repository, capsys):
    study = repository.study()
    with study_lock(repository.folder, study.study_name):
        assert run("enqueue", "tiny", *WHOLE) == 0
    assert "is at work on this study; a search takes it" in capsys.readouterr().out


def test_a_study_that_does_not_exist_yet_is_one_line(repository):
    with pytest.raises(StudyError, match=r"There is no study 'digits-tiny' yet. Run `dvc repro`"):
        run("enqueue", "tiny", *WHOLE)
    repository.study("other")
    with pytest.raises(StudyError, match=r"There is no study 'digits-tiny' yet. Run `dvc repro`"):
        run("enqueue", "tiny", *WHOLE)


@pytest.mark.parametrize("missing", ["data/split.json", "data/features/none/manifest.json"])
def test_a_repository_without_features_is_one_line(repository, missing):
    (repository.folder / missing).unlink()
    with pytest.raises((DataIntegrityError, StudyError), match="Run `dvc repro` first"):
        run("enqueue", "tiny", *WHOLE)


def test_a_name_that_params_yaml_does_not_have_is_refused(repository):
    with pytest.raises(ConfigError, match=r"no studies\.tinny. It has: tiny, other"):
        run("enqueue", "tinny", *WHOLE)


def test_a_study_of_other_params_is_not_queued_for(repository):
    study = repository.study()
    repository.set(epochs=9)
    with pytest.raises(StudyError, match=r"not the study that params.yaml describes.*search@tiny"):
        run("enqueue", "tiny", *WHOLE)
    assert states(study) == []


@pytest.mark.slow
def test_a_running_search_takes_it_next_and_keeps_its_budget(repository):
    repository.set(trials=15, epochs=4)
    search = repository.start_search()
    repository.wait_for_trials(2, search)
    study = load_current("tiny", root=repository.folder).study
    assert run("enqueue", "tiny", *WHOLE) == 0
    queued = trial_records(study)
    output, _ = search.communicate(timeout=120)
    assert search.returncode == 0, output
    trials = repository.read("results/tiny/study.json")["trials"]
    assert sum(trial["state"] in ("COMPLETE", "PRUNED") for trial in trials) == 15
    (mine,) = [t for t in trials if "enqueued" in t["user_attrs"]]
    assert mine["number"] <= len(queued)
    assert mine["state"] == "COMPLETE"
    assert mine["hyperparameters"]["units"] == 32
