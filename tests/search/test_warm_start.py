"""A changed space keeps the trials that it could have given itself."""

from dataclasses import replace

import optuna
import pytest

from pipeline.records.storage import open_storage
from pipeline.records.studies import earlier_study, import_trials, open_study, trial_records
from pipeline.search.distributions import Choice, SegmentRange
from pipeline.search.queue import enqueue, fail_trial, retire, retry_failed
from pipeline.search.space import SearchSpace
from pipeline.search.warm_start import first_trials, fitting, still_queued
from pipeline.trials.identity import Identity
from testing.records import made_study

SPACE = {
    "activation": {"type": "choice", "choices": ["relu", "selu"]},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "clipping": {"type": "choice", "choices": ["none", "clipvalue"]},
    "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
}


def space_of(defaults, **changes):
    return SearchSpace.parse({**SPACE, **changes}, defaults)


@pytest.fixture
def defaults(params_document):
    return {**params_document["defaults"], "cut": "pixels"}


@pytest.fixture
def old(tmp_path, defaults):
    """A study of twelve finished trials and one that failed."""
    study = open_study(
        open_storage(tmp_path),
        retire=retire,
        name="digits-mine",
        identity="a" * 64,
        direction="maximize",
    )
    study.sampler = optuna.samplers.RandomSampler(seed=1)
    for number in range(13):
        trial = study.ask()
        hyperparameters = space_of(defaults).suggest(trial)
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
    return fitting(trial_records(old), space_of(defaults, **changes), source="old")


def test_one_more_choice_keeps_every_finished_trial(old, defaults):
    more = {"type": "choice", "choices": ["relu", "selu", "elu"]}
    found = taken(old, defaults, activation=more)
    assert [trial.value for trial in found] == [number / 100 for number in range(12)]
    assert found[3].attributes["taken_over_from"] == "old#3"
    assert "trial_uid" not in found[3].attributes


def test_a_trial_of_before_there_was_a_hyperparameter_had_its_former_value(old, defaults):
    before = [
        replace(
            trial,
            hyperparameters={k: v for k, v in trial.hyperparameters.items() if k != "bootstrap"},
        )
        for trial in trial_records(old)
    ]
    found = fitting(before, space_of(defaults), source="old")
    assert [trial.value for trial in found] == [number / 100 for number in range(12)]
    assert {trial.hyperparameters["bootstrap"] for trial in found} == {False}
    assert not fitting(before, space_of({**defaults, "bootstrap": True}), source="old")


def test_what_was_taken_over_lives_under_the_new_distributions(old, defaults, tmp_path):
    more = {"type": "choice", "choices": ["relu", "selu", "elu"]}
    study = open_study(
        open_storage(tmp_path),
        retire=retire,
        name="digits-new",
        identity="b" * 64,
        direction="maximize",
    )
    import_trials(study, taken(old, defaults, activation=more))
    study.sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=1)
    trial = study.ask()
    space_of(defaults, activation=more).suggest(trial)
    assert trial.params["activation"] in ("relu", "selu", "elu")
    assert len(study.trials) == 13


def test_a_narrower_range_keeps_what_lies_in_it(old, defaults):
    rates = [trial.params["learning_rate"] for trial in trial_records(old)[:12]]
    narrow = {"type": "float", "low": 1e-4, "high": 1e-3, "log": True}
    found = taken(old, defaults, learning_rate=narrow)
    assert [t.params["learning_rate"] for t in found] == [r for r in rates if r <= 1e-3]
    assert 0 < len(found) < 12


def test_a_choice_that_is_gone_takes_its_trials_along(old, defaults):
    found = taken(old, defaults, activation={"type": "choice", "choices": ["selu"]})
    assert found
    assert {trial.hyperparameters["activation"] for trial in found} == {"selu"}


def test_what_is_searched_anew_keeps_the_value_that_it_had(old, defaults):
    found = taken(old, defaults, batch_size={"type": "choice", "choices": [128, 256]})
    assert len(found) == 12
    assert {trial.params["batch_size"] for trial in found} == {defaults["batch_size"]}


DEPTHS = {
    "unfreeze": SegmentRange(type="int", low=0, high=2, num_below={"low": 0, "top": 1}),
    "unfreeze_layers": {"type": "choice", "choices": ["all", 1, 2]},
    "learning_rate_ratio": {"type": "float", "low": 0.001, "high": 0.5, "log": True},
}


@pytest.mark.parametrize("cut", ["low", "top"])
def test_frozen_trials_are_points_of_a_space_that_may_unfreeze(old, defaults, cut):
    trials = [
        replace(trial, hyperparameters={**trial.hyperparameters, "cut": cut})
        for trial in trial_records(old)
    ]
    space = space_of(defaults, **{name: DEPTHS[name] for name in list(DEPTHS)[1:]})
    cuts = Choice(type="choice", choices=["low", "top"])
    space = replace(space, settings={**space.settings, "cut": cuts, "unfreeze": DEPTHS["unfreeze"]})
    found = fitting(trials, space, source="old")
    assert len(found) == 12
    # Below the lowest cut there is nothing to ask about.
    assert {trial.params.get("unfreeze") for trial in found} == {None if cut == "low" else 0}
    assert not any("learning_rate_ratio" in trial.params for trial in found)


@pytest.mark.parametrize("exported_only", [True, False])
def test_they_are_taken_over_by_a_study_that_may_unfreeze(old, defaults, exported_only):
    old.set_user_attr("comparable", "c" * 64)
    identity = Identity(whole="b" * 64, comparable="e" * 64, counterpart="c" * 64)
    found = first_trials(
        exported(old) if exported_only else None,
        None if exported_only else earlier_study(old),
        identity,
        space_of(defaults, unfreeze={"type": "int", "low": 0, "high": 1}),
    )
    assert len(found) == 12
    assert {trial.params["unfreeze"] for trial in found} == {0}


def test_another_default_keeps_nothing(old, defaults):
    assert taken(old, {**defaults, "batch_size": 32}) == []


def test_a_reused_result_names_the_trial_that_was_trained_by_its_new_number(old, defaults):
    trials = trial_records(old)
    rates = [trial.params["learning_rate"] for trial in trials[:12]]
    trained = next(n for n in range(1, 11) if rates[n] <= 1e-3 < max(rates[:n]))
    copied = {**trials[11].attributes, "duplicate_of": trained}
    trials[11] = replace(trials[trained], number=11, attributes=copied)
    narrow = {"type": "float", "low": 1e-4, "high": 1e-3, "log": True}
    found = fitting(trials, space_of(defaults, learning_rate=narrow), source="old")
    original = found[found[-1].duplicate_of]
    assert original.attributes["taken_over_from"] == f"old#{trained}"
    assert original.number < trained


class TestQueue:
    """What waits, or was cut off, when the space changes."""

    def begin(self, old, defaults, tmp_path, **changes):
        """Returns the study of another space, as its search begins with it."""
        old.set_user_attr("comparable", "c" * 64)
        identity = Identity(whole="b" * 64, comparable="c" * 64, counterpart="f" * 64)
        space = space_of(defaults, **changes)
        return open_study(
            open_storage(tmp_path),
            retire=retire,
            name="digits-mine",
            identity="b" * 64,
            direction="maximize",
            begin=lambda previous: first_trials(None, previous, identity, space),
        )

    def test_a_queued_trial_that_fits_waits_in_the_new_study(self, old, defaults, tmp_path):
        enqueue(old, {"learning_rate": 0.005, "activation": "selu"})
        more = {"type": "choice", "choices": ["relu", "selu", "elu"]}
        study = self.begin(old, defaults, tmp_path, activation=more)
        assert [trial.state.name for trial in study.trials][12:] == ["WAITING"]
        assert study.trials[12].user_attrs == old.trials[13].user_attrs
        asked = space_of(defaults, activation=more).suggest(study.ask())
        assert (asked["learning_rate"], asked["activation"]) == (0.005, "selu")

    def test_one_that_does_not_fit_is_named_with_the_reason(self, old, defaults, tmp_path, caplog):
        enqueue(old, {"learning_rate": 0.005, "activation": "selu"})
        study = self.begin(old, defaults, tmp_path, activation="relu")
        assert "WAITING" not in [trial.state.name for trial in study.trials]
        (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert "trial 13 of digits-mine-aaaaaaaa (learning_rate=0.005, activation=selu)" in line
        assert line.endswith("activation: is fixed to 'relu'. Received: 'selu'.")

    def test_what_is_fixed_to_the_same_value_now_still_fits(self, old, defaults):
        enqueue(old, {"learning_rate": 0.005, "clipping": "none", "activation": "relu"})
        settings = dict(space_of(defaults, activation="relu").settings)
        del settings["clipping"], settings["clipping_threshold"]
        assert defaults["clipping"] == "none"
        (waiting,) = still_queued(trial_records(old), SearchSpace(settings, defaults), source="old")
        assert waiting.system_attributes == {"fixed_params": {"learning_rate": 0.005}}

    def test_a_trial_that_a_kill_cut_off_is_tried_again(self, old, defaults, tmp_path):
        enqueue(old, {"learning_rate": 0.005})
        trial = old.ask()
        params = space_of(defaults).suggest(trial)
        study = self.begin(old, defaults, tmp_path, batch_size=defaults["batch_size"])
        again = study.trials[12]
        assert again.system_attrs["fixed_params"] == trial.params
        assert again.user_attrs["enqueued"] == '{"learning_rate": 0.005}'
        assert params["learning_rate"] == 0.005


def exported(old, comparable="c" * 64):
    return made_study(*trial_records(old), study_name="digits-mine", comparable=comparable)


def begin(record, previous, defaults, *, whole="b" * 64, comparable="c" * 64):
    identity = Identity(whole=whole, comparable=comparable, counterpart="f" * 64)
    more = {"type": "choice", "choices": ["relu", "selu", "elu"]}
    return first_trials(record, previous, identity, space_of(defaults, activation=more))


def test_a_lost_database_is_rebuilt_whole_from_the_export(old, defaults):
    trials = begin(exported(old), None, defaults, whole="a" * 64)
    assert len(trials) == 13


def test_an_export_of_another_space_gives_what_fits(old, defaults):
    trials = begin(exported(old), None, defaults)
    assert len(trials) == 12
    assert trials[0].attributes["taken_over_from"] == "digits-mine-aaaaaaaa#0"


def test_the_study_that_had_the_name_gives_what_fits(old, defaults):
    old.set_user_attr("comparable", "c" * 64)
    assert len(begin(None, earlier_study(old), defaults)) == 12


def test_other_data_gives_nothing(old, defaults):
    old.set_user_attr("comparable", "d" * 64)
    record = exported(old, comparable="d" * 64)
    assert begin(record, earlier_study(old), defaults) == ()


def test_a_kill_while_a_study_is_built_leaves_none(tmp_path, old, defaults):
    storage = open_storage(tmp_path)
    trials = taken(old, defaults)
    changed = {"name": "digits-mine", "identity": "b" * 64, "direction": "maximize"}

    def killed(previous):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_study(storage, retire=retire, begin=killed, **changed)
    broken = [*trials[:5], replace(trials[5], state="NONSENSE")]
    with pytest.raises(KeyError):
        open_study(storage, retire=retire, begin=lambda previous: broken, **changed)
    kept = optuna.load_study(study_name="digits-mine", storage=storage)
    assert kept.user_attrs["identity"] == "a" * 64
    study = open_study(storage, retire=retire, begin=lambda previous: trials, **changed)
    assert len(study.trials) == 12
    names = set(optuna.get_all_study_names(storage))
    assert names == {"digits-mine", "digits-mine-aaaaaaaa"}


def test_a_trial_that_fails_in_the_new_study_is_retried_whatever_the_old_numbers_were(
    old, defaults, tmp_path
):
    trials = trial_records(old)
    # In the old study this was the retry of trial 12, and had places of its own in a grid.
    trials[3] = replace(
        trials[3],
        attributes={**trials[3].attributes, "retry_of": 12, "attempt": 1},
        system_attributes={"grid_id": 3, "fixed_params": {"activation": "relu"}},
    )
    study = open_study(
        open_storage(tmp_path),
        retire=retire,
        name="digits-new",
        identity="b" * 64,
        direction="maximize",
    )
    import_trials(study, fitting(trials, space_of(defaults), source="old"))
    assert study.trials[3].system_attrs == {}
    failed = study.ask()
    assert failed.number == 12
    fail_trial(study, failed.number, reason="killed", retry="free")
    retry_failed(study, max_retries=0)
    assert study.trials[-1].user_attrs["retry_of"] == 12
