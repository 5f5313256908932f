"""What Optuna's samplers and pruners see of a study whose trials are of different rungs."""

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from pipeline.search.pruners import MedianPruner, build_pruner
from pipeline.search.views import OverRungs, configurations


def add(study, x, *, share=1.0, value=None, state=TrialState.COMPLETE, values_by_step=None, **more):
    attrs = {"share": share, "value": value, **more}
    study.add_trial(
        create_trial(
            state=state,
            value=value if state == TrialState.COMPLETE else None,
            params={"x": x},
            distributions={"x": FloatDistribution(0, 1)},
            user_attrs=attrs,
            intermediate_values=values_by_step,
        )
    )


@pytest.fixture
def study():
    study = optuna.create_study(direction="maximize")
    add(study, 0.1, share=1 / 9, value=0.5)
    add(study, 0.2, share=1 / 9, value=0.9)
    add(study, 0.3, share=1 / 9, state=TrialState.PRUNED)
    add(study, 0.2, share=1 / 3, value=0.7, promoted_from=1)
    return study


def seen(study):
    return {t.number: t for t in configurations(study.get_trials(deepcopy=False))}


def test_a_sampler_sees_each_configuration_once_by_its_highest_rung(study):
    assert list(seen(study)) == [0, 2, 3]


def test_what_ended_below_the_top_counts_as_stopped_there(study):
    found = seen(study)
    assert [found[0].intermediate_values, found[3].intermediate_values] == [{-9: 0.5}, {-3: 0.7}]
    assert {trial.state for trial in found.values()} == {TrialState.PRUNED}


def test_tpe_stays_away_from_what_diverged():
    """Above 0.8 nothing trains, on any rung; below, what is higher is better."""
    study = optuna.create_study(direction="maximize")
    for place in range(24):
        add(study, 0.03 * place, share=1 / 9, value=0.1 + 0.03 * place)
    for place, share in enumerate([1 / 9, 1 / 9, 1 / 3, 1.0]):
        x, state = 0.85 + 0.03 * place, TrialState.PRUNED
        add(study, x, share=share, state=state, outcome="diverged")
    study.sampler = OverRungs(optuna.samplers.TPESampler(seed=0, n_startup_trials=1))
    drawn = []
    for _ in range(20):
        trial = study.ask()
        drawn.append(trial.suggest_float("x", 0, 1))
        study.tell(trial, state=TrialState.FAIL)
    assert sum(x > 0.8 for x in drawn) <= 3


def test_what_goes_on_is_seen_by_the_rung_that_it_has_finished(study):
    add(study, 0.1, share=1 / 3, state=TrialState.RUNNING, promoted_from=0)
    assert list(seen(study)) == [0, 2, 3]


def test_a_whole_training_is_seen_as_it_is(study):
    add(study, 0.2, value=0.95, promoted_from=3)
    assert seen(study)[4] is study.get_trials(deepcopy=False)[4]


def test_the_study_itself_is_left_alone(study):
    before = [str(trial) for trial in study.get_trials()]
    seen(study)
    assert [str(trial) for trial in study.get_trials()] == before


def test_tpe_prefers_a_higher_rung_to_a_higher_value():
    study = optuna.create_study(direction="maximize")
    # A ninth of the images flatters the right half; whoever went on lies in the left.
    for place in range(30):
        add(study, 0.6 + 0.01 * place, share=1 / 9, value=0.9)
    for place in range(10):
        add(study, 0.1 + 0.01 * place, share=1 / 9, value=0.8)
        add(study, 0.1 + 0.01 * place, share=1 / 3, value=0.5, promoted_from=30 + 2 * place)
    drawn = {}
    for name, wrap in (("all", lambda sampler: sampler), ("rungs", OverRungs)):
        study.sampler = wrap(optuna.samplers.TPESampler(seed=0, n_startup_trials=1))
        drawn[name] = []
        for _ in range(20):
            trial = study.ask()
            drawn[name].append(trial.suggest_float("x", 0, 1))
            study.tell(trial, state=TrialState.FAIL)
    assert sum(x < 0.3 for x in drawn["rungs"]) >= 15
    assert sum(x < 0.3 for x in drawn["all"]) <= 5


def pruned(share):
    study = optuna.create_study(direction="maximize")
    median = MedianPruner(name="median", startup_trials=1, warmup_epochs=0)
    study.pruner = build_pruner(median, epochs=3, has_rungs=True)
    add(study, 0.1, share=1 / 9, value=0.5, values_by_step={0: 0.5})
    add(study, 0.1, value=0.9, values_by_step={0: 0.9})
    trial = study.ask()
    trial.set_user_attr("share", share)
    trial.report(0.7, 0)
    return trial.should_prune()


def test_a_whole_training_is_compared_with_whole_ones():
    assert pruned(1.0)


def test_a_part_of_a_training_runs_to_its_end():
    assert not pruned(1 / 9)
