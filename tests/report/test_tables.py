"""What `dvc plots` draws: means over the winner's trainings, and the best of the search so far."""

import json
from dataclasses import replace

from pipeline.report.tables import epochs_of, few_metrics, search_of, write_tables
from pipeline.trials.record import Epoch
from testing.records import made_study, made_training, made_trial


def training(number, *accuracies):
    epochs = [
        Epoch(epoch=epoch, metrics={"accuracy": value, "val_accuracy": value - 0.1}, at_ms=1)
        for epoch, value in enumerate(accuracies)
    ]
    return made_training(f"{number}-{accuracies}", number=number, epochs=epochs)


def test_epochs_are_means_over_the_winners_trainings_that_had_them(results):
    study = results.studies[0]
    won = study.confirm.winner_number
    trainings = [training(won, 0.5, 0.7), training(won, 0.7), training(won + 1, 0.1)]
    confirm = replace(study.confirm, trainings=trainings)
    assert epochs_of(replace(study, confirm=confirm)) == [
        ["epoch", "accuracy", "val_accuracy"],
        [1, 0.6, 0.5],
        [2, 0.7, 0.6],
    ]


def test_without_noted_trainings_there_is_a_head_alone(results):
    assert epochs_of(results.studies[0]) == [["epoch", "accuracy", "val_accuracy"]]


def test_the_search_never_falls(results):
    trials = [made_trial(number, value=value) for number, value in enumerate([0.5, 0.4, 0.6])]
    study = replace(results.studies[0], search=made_study(*trials))
    assert search_of(study) == [["trial", "best"], [0, 0.5], [1, 0.5], [2, 0.6]]


def test_few_metrics_are_rounded_and_of_each_study(results):
    study = results.studies[0]
    found = few_metrics(study)
    assert found["test_accuracy"] == round(study.metrics["accuracy"].value, 6)
    assert found["confirmed"] == round(study.confirm.winner.mean, 6)
    assert found["configurations"] == 19
    assert len(found) == 5


def test_all_are_written_beside_the_page(results, tmp_path):
    write_tables(results, tmp_path)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["epochs.csv", "metrics.json", "search.csv"]
    assert (tmp_path / "search.csv").read_text().startswith("trial,best\n")
    assert set(json.loads((tmp_path / "metrics.json").read_text())) == {"scratch", "transfer"}
