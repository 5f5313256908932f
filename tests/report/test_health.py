"""What ailed the trials of a search: counted, and set against what was searched."""

from pipeline.report.health import view_health
from pipeline.training.messages import EpochHealth, EpochRecord
from pipeline.trials.epochs import stored
from testing.records import made_study, made_trial

SPACE = {
    "activation": {"type": "choice", "choices": ["relu", "sigmoid"]},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
}


def trial(number, *, activation, learning_rate, first=1.0, **told):
    health = EpochHealth(gradient_norms=[first, 1.0], update_ratios=[1e-3, 1e-3], dead=[0.0])
    metrics = {"accuracy": 0.9, "val_accuracy": 0.9, "loss": 0.1, "val_loss": 0.1, "phase": 1.0}
    return made_trial(
        number,
        value=0.9,
        hyperparameters={"activation": activation, "learning_rate": learning_rate},
        epochs=[stored(EpochRecord(epoch=0, metrics=metrics, health=health), at_ms=0)],
        **told,
    )


def view(*trials):
    return view_health(made_study(*trials, space=SPACE))


def test_an_illness_is_counted_and_set_against_each_knob():
    sound = [trial(n, activation="relu", learning_rate=10**-n) for n in range(1, 4)]
    ill = trial(4, activation="sigmoid", learning_rate=0.05, first=1e-4)
    found = view(*sound, ill)
    assert [row[:3] for row in found["counts"]] == [["vanishing", "1", "25.0%"]]
    ((name, rows),) = found["tables"]
    assert name == "vanishing"
    by_knob = {row[0]: [text.replace("\xa0", " ") for text in row[1:]] for row in rows}
    # Wilson's intervals of 0 of 3 and 1 of 1.
    assert by_knob["activation relu"] == [
        "0.0% (0.0% to 56.1%), n = 3",
        "100.0% (20.7% to 100.0%), n = 1",
    ]
    assert by_knob["learning_rate above 0.03, its median"][0].startswith("50.0%")


def test_only_trials_that_were_trained_alike_are_compared():
    small = trial(0, activation="sigmoid", learning_rate=0.1, first=1e-4, share=0.5)
    found = view(small, trial(1, activation="relu", learning_rate=0.1))
    assert (found["n"], found["is_part"]) == (1, True)


def test_of_a_sound_search_there_is_nothing_to_say():
    found = view(trial(0, activation="relu", learning_rate=0.1))
    assert (found["counts"], found["tables"]) == ([], [])
