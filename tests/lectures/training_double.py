"""Stands in for a training: what it gets right is its `dropout_rate`, less where rates are large.

A rate of 100 diverges and leaves nothing. In epoch k the validation part is answered as well as in
the end, times k + 1 over the epochs.
"""

import numpy as np

from pipeline.data.rows import part_labels
from pipeline.training.messages import EpochRecord, TrialResult, answers_file


def train(spec, data, report):
    values = spec.hyperparameters
    rate, share = float(values["learning_rate"]), float(values["dropout_rate"])
    if rate == 100:
        return ended("diverged", {}, 0, None)
    share -= rate / 100
    labels = part_labels(data.train_file, "confirmation")
    hard = np.random.default_rng(0).permutation(len(labels)) / len(labels)
    shift = np.random.default_rng(spec.seed).normal(0, 0.002)
    classes = np.where(hard < share + shift, labels, (labels + 1) % 3)
    np.save(answers_file(spec.model_file), np.eye(3, dtype=np.float32)[classes])
    for epoch in range(spec.epochs):
        value = share * (epoch + 1) / spec.epochs
        metrics = {"val_accuracy": value, "loss": 1 - value, "seconds": 0.25}
        report(EpochRecord(epoch=epoch, metrics=metrics))
    return ended("complete", {"val_accuracy": share}, spec.epochs, spec.model_file)


def ended(outcome, metrics, num_epochs, model_file):
    return TrialResult(
        outcome=outcome,
        best_epoch=num_epochs - 1 if num_epochs else None,
        metrics=metrics,
        num_parameters=1,
        num_epochs=num_epochs,
        seconds=0.5,
        model_file=model_file,
        notes={"steps_per_epoch": 7},
    )
