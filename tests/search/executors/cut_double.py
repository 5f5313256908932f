"""Stands in for a training on a cluster: as `training_double`, but it knows no file of the driver.

It opens its cut and says in its result's notes what it found. Where processes are counted, the
hyperparameter `log` names a file to write them to; `padding` makes the model larger. What goes
wrong does so after an epoch.
"""

import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

from pipeline.training.messages import EpochRecord
from tests.search.training_double import behave, note, result


def train(spec, data, report):
    settings, start = spec.hyperparameters, time.perf_counter()
    features = data.load_cut(settings["cut"], judge=spec.judge).training.features
    if "log" in settings:
        note(settings["log"], f"start {spec.uid} {os.getpid()}")
    value, outcome = 0.0, "complete"
    for epoch in range(spec.epochs):
        time.sleep(float(settings.get("epoch_seconds", 0.0)))
        value = float(settings["top"]) * (epoch + 1) / spec.epochs
        if report(EpochRecord(epoch=epoch, metrics={"val_accuracy": value, "loss": 1.0 - value})):
            outcome = "stopped"
            break
        behave(settings.get("behaviour", "well"), Path(settings.get("folder", ".")))
    if spec.model_file is not None:
        padding = bytes(int(settings.get("padding", 0)))
        Path(spec.model_file).write_bytes(b"weights of " + spec.uid.encode() + padding)
    notes = {
        "sum": float(features.sum(dtype=float)),
        "writeable": features.flags.writeable,
        "mapped": mapped_file(features.ctypes.data),
        "file": spec.model_file or "",
        "code": next((entry for entry in sys.path if "py_modules_files" in entry), ""),
        "scratch": tempfile.mkdtemp(),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    }
    done = result(outcome, epoch, value, start)
    return dataclasses.replace(done, notes=notes, model_file=spec.model_file)


def mapped_file(address):
    """The file that a memory address of this process is mapped from, or an empty string."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, *_, name = line.split(maxsplit=5) if line.count("/") else (line.split()[0], "")
        low, high = (int(bound, 16) for bound in where.split("-"))
        if low <= address < high:
            return name
    return ""
