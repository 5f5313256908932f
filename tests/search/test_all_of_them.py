"""Trainings that are all wanted: a lost worker's is begun again, once."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.errors import StudyError
from pipeline.search.all_of_them import train_all
from pipeline.search.executors.local import LocalExecutor
from pipeline.training.data import DataReference
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec


def train(spec, data, report):
    """Is killed after an epoch: `once` the first time, `always` each time."""
    report(EpochRecord(epoch=0, metrics={"loss": 0.5}))
    begun = Path(data.train_file).with_name(spec.uid)
    if spec.uid == "always" or (spec.uid == "once" and not begun.exists()):
        begun.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return TrialResult(
        outcome="complete",
        best_epoch=0,
        metrics={},
        num_parameters=1,
        num_epochs=1,
        seconds=0.1,
    )


def train_all_of(folder, *uids):
    data = DataReference(features=str(folder), train_file=str(folder / "train.npz"))
    told = {"hyperparameters": {}, "seed": 0, "epochs": 1, "objective": "val_accuracy"}
    with LocalExecutor(2, train=train) as executor:
        return train_all([(TrialSpec(uid=uid, **told), data) for uid in uids], executor)


def test_one_that_is_lost_is_begun_again(tmp_path):
    found = train_all_of(tmp_path, "never", "once")
    assert {uid: len(one.records) for uid, one in found.items()} == {"never": 1, "once": 1}


def test_one_that_is_lost_again_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="The training always failed: "):
        train_all_of(tmp_path, "always", "never")
