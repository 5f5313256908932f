"""Stands in for a training where processes, not networks, are under test.

What it does is said by its hyperparameters: values rise to `top`; with `unfreeze`, all epochs but
the first are of phase 2; `behaviour` says what goes wrong. Each training leaves its uid in the file
`train_file`, so that a test can count; with `scratch` it also leaves a temporary folder, and that
folder's name in the file of that name.
"""

import math
import os
import signal
import struct
import tempfile
import time
from pathlib import Path

import psutil

from pipeline.errors import InfeasibleTrialError
from pipeline.training.messages import EpochRecord, TrialResult


def train(spec, data, report):
    settings, start = spec.hyperparameters, time.perf_counter()
    note(data.train_file, f"start {spec.uid} {os.getpid()}")
    if "scratch" in settings:
        note(settings["scratch"], tempfile.mkdtemp())
    behave(settings.get("behaviour", "well"), Path(data.features))
    value = 0.0
    for epoch in range(spec.epochs):
        time.sleep(float(settings.get("epoch_seconds", 0.0)))
        value = float(settings["top"]) * (epoch + 1) / spec.epochs
        metrics = {"val_accuracy": value, "loss": 1.0 - value}
        if settings.get("unfreeze"):
            metrics["phase"] = 1.0 if epoch == 0 else 2.0
        if epoch == 0 and settings.get("behaviour") == "nan_epoch":
            metrics["val_accuracy"] = math.nan
        record = EpochRecord(epoch=epoch, metrics=metrics)
        if report(record):
            return result("stopped", epoch, value, start, judge=spec.judge)
        if settings.get("behaviour") == "die_once_late":
            behave("die_once", Path(data.features))
    note(data.train_file, f"end {spec.uid} {os.getpid()}")
    if settings.get("behaviour") == "nan_result":
        value = math.nan
    outcome = "diverged" if settings.get("behaviour") == "diverge" else "complete"
    return result(outcome, spec.epochs - 1, value, start, judge=spec.judge)


def behave(behaviour, folder):
    if behaviour == "raise":
        raise RuntimeError("the weights are on fire")
    if behaviour == "infeasible":
        raise InfeasibleTrialError("The head must fit into memory.")
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "die_speaking":
        (pipe,) = psutil.Process().net_connections("unix")
        # The length of a message, and the first byte of it.
        os.write(pipe.fd, struct.pack("!i", 100) + b"x")
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "die_once" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def result(outcome, epoch, value, start, *, judge=None):
    judged = {} if judge is None else {f"{judge}_accuracy": value}
    return TrialResult(
        outcome=outcome,
        best_epoch=epoch,
        metrics={"val_accuracy": value, **judged},
        num_parameters=1,
        num_epochs=epoch + 1,
        seconds=time.perf_counter() - start,
    )


def note(file, text):
    with Path(file).open("a", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
