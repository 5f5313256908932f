"""A changed space keeps the trials that it could have given itself."""

import json

import optuna
import pytest

from pipeline.tuning.identity import Identity, first_trials
from pipeline.tuning.space import SearchSpace, suggest
from pipeline.tuning.storage import open_storage
from pipeline.tuning.study import import_trials, open_study, trial_dicts
from pipeline.tuning.takeover import fitting

SPACE = {
    "activation": {"type": "choice", "choices": ["relu", "selu"]},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "clipping": {"type": "choice", "choices": ["none", "clipvalue"]},
    "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
}


def settings_of(**changes):
    return SearchSpace({**SPACE, **changes}).settings


@pytest.fixture
def defaults(params_document):
    return {**params_document["defaults"], "cut": "pixels"}


@pytest.fixture
def old(tmp_path, defaults):
    """A study of twelve finished trials and one that failed."""
    study = open_study(
        open_storage(tmp_path), name="digits-mine", identity="a" * 64, direction="maximize"
    )
    study.sampler = optuna.samplers.RandomSampler(seed=1)
    for number in range(13):
        trial = study.ask()
        hyperparameters = suggest(settings_of(), defaults, trial)
        trial.report(number / 100, 0)
        attrs = {"hyperparameters": hyperparameters, "index": number, "seed": number + 7}
        for name, value in {**attrs, "trial_uid": f"old-{number}", "outcome": "complete"}.items():
            trial.set_user_attr(name, value)
        if number < 12:
            study.tell(trial, number / 100)
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return study


def taken(old, defaults, **changes):
    return fitting(trial_dicts(old), settings_of(**changes), defaults, source="old")


def test_one_more_choice_keeps_every_finished_trial(old, defaults):
    more = {"type": "choice", "choices": ["relu", "selu", "elu"]}
    found = taken(old, defaults, activation=more)
    assert [trial["value"] for trial in found] == [number / 100 for number in range(12)]
    assert found[3]["user_attrs"]["taken_over_from"] == "old#3"
    assert "trial_uid" not in found[3]["user_attrs"]


def test_what_was_taken_over_lives_under_the_new_distributions(old, defaults, tmp_path):
    more = {"type": "choice", "choices": ["relu", "selu", "elu"]}
    study = open_study(
        open_storage(tmp_path), name="digits-new", identity="b" * 64, direction="maximize"
    )
    import_trials(study, taken(old, defaults, activation=more))
    study.sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=1)
    trial = study.ask()
    suggest(settings_of(activation=more), defaults, trial)
    assert trial.params["activation"] in ("relu", "selu", "elu")
    assert len(study.trials) == 13


def test_a_narrower_range_keeps_what_lies_in_it(old, defaults):
    rates = [trial["params"]["learning_rate"] for trial in trial_dicts(old)[:12]]
    narrow = {"type": "float", "low": 1e-4, "high": 1e-3, "log": True}
    found = taken(old, defaults, learning_rate=narrow)
    assert [t["params"]["learning_rate"] for t in found] == [r for r in rates if r <= 1e-3]
    assert 0 < len(found) < 12


def test_a_choice_that_is_gone_takes_its_trials_along(old, defaults):
    found = taken(old, defaults, activation={"type": "choice", "choices": ["selu"]})
    assert found
    assert {trial["hyperparameters"]["activation"] for trial in found} == {"selu"}


def test_what_is_searched_anew_keeps_the_value_that_it_had(old, defaults):
    found = taken(old, defaults, batch_size={"type": "choice", "choices": [128, 256]})
    assert len(found) == 12
    assert {trial["params"]["batch_size"] for trial in found} == {defaults["batch_size"]}


def test_another_default_keeps_nothing(old, defaults):
    assert taken(old, {**defaults, "batch_size": 32}) == []


def exported(tmp_path, old, **content):
    file = tmp_path / "study.json"
    trials = trial_dicts(old)
    base = {"study_name": "digits-mine", "identity": "a" * 64, "comparable": "c" * 64}
    file.write_text(json.dumps({**base, "trials": trials, **content}))
    return file


def begin(file, previous, defaults, *, whole="b" * 64, comparable="c" * 64):
    identity = Identity(whole=whole, comparable=comparable)
    more = settings_of(activation={"type": "choice", "choices": ["relu", "selu", "elu"]})
    return first_trials(file, previous, identity, settings=more, defaults=defaults)


def test_a_lost_database_is_rebuilt_whole_from_the_export(tmp_path, old, defaults):
    trials = begin(exported(tmp_path, old), None, defaults, whole="a" * 64)
    assert len(trials) == 13


def test_an_export_of_another_space_gives_what_fits(tmp_path, old, defaults):
    trials = begin(exported(tmp_path, old), None, defaults)
    assert len(trials) == 12
    assert trials[0]["user_attrs"]["taken_over_from"] == "digits-mine-aaaaaaaa#0"


def test_the_study_that_had_the_name_gives_what_fits(tmp_path, old, defaults):
    old.set_user_attr("comparable", "c" * 64)
    assert len(begin(tmp_path / "none.json", old, defaults)) == 12


def test_other_data_gives_nothing(tmp_path, old, defaults):
    old.set_user_attr("comparable", "d" * 64)
    file = exported(tmp_path, old, comparable="d" * 64)
    assert begin(file, old, defaults) == []


def test_a_kill_while_a_study_is_built_leaves_none(tmp_path, old, defaults):
    storage = open_storage(tmp_path)
    trials = taken(old, defaults)
    changed = {"name": "digits-mine", "identity": "b" * 64, "direction": "maximize"}

    def killed(previous):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_study(storage, begin=killed, **changed)
    broken = [*trials[:5], {**trials[5], "state": "NONSENSE"}]
    with pytest.raises(KeyError):
        open_study(storage, begin=lambda previous: broken, **changed)
    assert optuna.load_study(study_name="digits-mine", storage=storage).user_attrs == {
        "identity": "a" * 64
    }
    study = open_study(storage, begin=lambda previous: trials, **changed)
    assert len(study.trials) == 12
    names = set(optuna.get_all_study_names(storage))
    assert names == {"digits-mine", "digits-mine-aaaaaaaa"}
