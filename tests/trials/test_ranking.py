"""Which trials count, and which are best, where a study has rungs."""

from datetime import datetime, timedelta

from pipeline.trials.ranking import by_rung, num_finished, ranked
from pipeline.trials.record import TrialRecord

START = datetime(2026, 11, 29)


def trial(number, value, *, share=1.0, promoted_from=None, state="COMPLETE", seconds=2.0, **more):
    attributes = {"share": share, **more}
    if promoted_from is not None:
        attributes["promoted_from"] = promoted_from
    return TrialRecord(
        number=number,
        state=state,
        value=value,
        attributes=attributes,
        started=START,
        ended=START + timedelta(seconds=seconds),
    )


TRIALS = [
    trial(0, 0.95, share=1 / 3),
    trial(1, 0.99, share=1 / 3),
    trial(2, 0.90, share=1 / 3),
    trial(3, None, promoted_from=1, state="FAIL"),
    trial(4, 0.80, promoted_from=1),
]


def test_a_higher_rung_comes_before_a_better_value():
    assert [one.number for one in ranked(TRIALS, "maximize")] == [4, 1, 0, 2]
    assert [one.number for one in ranked(TRIALS, "minimize")] == [4, 2, 0, 1]


def test_of_equal_values_the_smaller_loss_comes_first_and_then_the_earlier():
    losses = [0.3, None, 0.2, 0.2]
    trials = [
        trial(number, 0.9, **({"metrics": {"val_loss": loss}} if loss else {}))
        for number, loss in enumerate(losses)
    ]
    assert [one.number for one in ranked(trials, "maximize")] == [2, 3, 0, 1]


def test_a_configuration_counts_once():
    assert num_finished(TRIALS) == 3


def test_each_rung_is_summed_up():
    lower, upper = by_rung(TRIALS, "maximize")
    assert (lower.name, lower.num_finished, lower.num_promoted) == ("1/3 of a training", 3, 1)
    assert lower.best is TRIALS[1]
    assert (upper.name, upper.num_finished, upper.num_promoted) == ("whole trainings", 1, 0)
    # What a lost attempt took was spent on its rung, too.
    assert (lower.seconds, upper.seconds) == (6.0, 4.0)


def test_without_rungs_there_is_one():
    assert [rung.name for rung in by_rung([trial(0, 0.9)], "maximize")] == ["whole trainings"]
