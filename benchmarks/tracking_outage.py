"""A tracking server that is killed in the middle of a search: what is lost, and who waits.

A real search (driver, two local workers, SQLite study; trainings that stream an epoch every 0.2 s
instead of computing one) records into a real `mlflow server`, which is killed with SIGKILL for some
seconds and started again on the same database. `mirror` is this project's recorder; `direct` calls
MLflow's client from the driver, with its own retries, as a plain script does. `ended`: the server
is away when the search ends, and until it gives up waiting; `killed`: the driver is killed with
SIGKILL while it is away. Both are started again when the server is back.

Every point of every metric that a worker reported is looked up on the server: value, step and time.
A stall is the time from when a worker hands over an epoch until it may go on.

Run: python -m benchmarks.tracking_outage [--mirror 10 60] [--direct 10] [--ended 5] [--killed 4]
(about 8 minutes; an option without numbers leaves its case out)
"""

import argparse
import json
import math
import os
import platform
import tempfile
import threading
import time
from collections import Counter
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

from pipeline.config import read_document
from pipeline.errors import StudyError
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.thread import Mirror
from pipeline.records.storage import open_storage
from pipeline.records.studies import open_study, trial_records
from pipeline.search.distributions import FloatRange
from pipeline.search.engine import Engine
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.progress import Progress
from pipeline.search.queue import close_orphans, retire
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.messages import EpochRecord, TrialResult
from testing.search import search_params
from testing.tracking_server import TrackingServer

PARAMS = Path(__file__).parents[1] / "params.yaml"
IDENTITY = "0123456789abcdef" * 4
NAME = "outage-search"
NUM_WORKERS = 2
EPOCHS = 40
EPOCH_SECONDS = 0.2
# Before the outage; after it the server needs up to 30 s to start, and the rest is searched still.
SECONDS_BEFORE = 10
SECONDS_AFTER = 40
# Of the two cases with a second start.
NUM_TRIALS = 4


def train(spec, data, report):
    """Streams epochs and notes how long each waited for its answer."""
    with Path(data.train_file).open("a", encoding="utf-8") as notes:
        for epoch in range(EPOCHS):
            time.sleep(EPOCH_SECONDS)
            value = 1 - math.exp(-epoch * float(spec.hyperparameters["learning_rate"]))
            metrics = {"val_accuracy": value, "val_loss": 1 - value, "loss": 1.1 - value}
            begin = time.monotonic()
            report(EpochRecord(epoch=epoch, metrics=metrics))
            waited = time.monotonic() - begin
            note = {"uid": spec.uid, "epoch": epoch, "metrics": metrics, "waited": waited}
            notes.write(f"{json.dumps(note)}\n")
            notes.flush()
    return TrialResult(
        outcome="complete",
        best_epoch=EPOCHS - 1,
        metrics=metrics,
        num_parameters=1,
        num_epochs=EPOCHS,
        seconds=EPOCHS * EPOCH_SECONDS,
    )


class Outage(threading.Thread):
    """Kills the server after a while, and starts it again after the outage.

    Attributes:
        away_seconds: From the kill until it answered again.
    """

    def __init__(self, server, seconds):
        super().__init__(daemon=True)
        self._server, self._seconds = server, seconds
        self.away_seconds = 0.0

    def run(self):
        time.sleep(SECONDS_BEFORE)
        self._server.kill()
        begin = time.monotonic()
        time.sleep(self._seconds)
        self._server.start()
        self._server.wait()
        self.away_seconds = time.monotonic() - begin


def opened_study(root):
    """Opens the study, made if need be."""
    return open_study(
        open_storage(root),
        retire=retire,
        name=NAME,
        identity=IDENTITY,
        direction="maximize",
        attrs={"study_uid": IDENTITY},
    )


def opened_runs(root):
    """Opens its runs."""
    return StudyRuns.open(
        root,
        dataset="outage",
        study="search",
        study_name=NAME,
        study_uid=IDENTITY,
        tags={"objective": "val_accuracy"},
        params={},
    )


def search(root, recorder, num_trials):
    """Runs a search and returns its trials."""
    import optuna

    study = opened_study(root)
    study.pruner = optuna.pruners.NopPruner()
    space = SearchSpace(
        {"learning_rate": FloatRange(type="float", low=0.01, high=0.1)},
        {**read_document(PARAMS)["defaults"], "cut": "pixels"},
    )
    params = search_params(
        trials=num_trials,
        epochs=EPOCHS,
        seed=1,
        sampler="random",
        max_retries=0,
        max_failures=1,
    )
    with LocalExecutor(NUM_WORKERS, train=train) as workers:
        Engine(
            study,
            space,
            params,
            limit_seconds=None,
            executor=workers,
            recorder=recorder,
            data=DataReference(features="", train_file=str(root / "notes")),
            progress=Progress(num_trials, direction="maximize"),
        ).run()
    return trial_records(study)


def compared(root, runs, trials):
    """Counts the points that were reported, and those that the server lacks or has twice."""
    notes = [json.loads(line) for line in (root / "notes").read_text().splitlines()]
    times = {
        (trial.attributes["trial_uid"], epoch["epoch"]): epoch["at_ms"]
        for trial in trials
        for epoch in trial.attributes["epochs"]
    }
    told = Counter(
        (note["uid"], name, note["epoch"], value, times[note["uid"], note["epoch"]])
        for note in notes
        for name, value in note["metrics"].items()
    )
    found, num_runs = Counter(), Counter()
    client = runs.store.client
    for uid in {note["uid"] for note in notes}:
        for run in runs.runs_of(uid):
            num_runs[uid] += 1
            for name in ("val_accuracy", "val_loss", "loss"):
                for point in client.get_metric_history(run.info.run_id, name):
                    found[uid, name, point.step, point.value, point.timestamp] += 1
    steps = Counter()
    for uid, name, step, *_ in found.elements():
        steps[uid, name, step] += 1
    return {
        "epochs": len(notes),
        "n": told.total(),
        "lost": (told - found).total(),
        "doubled": sum(count - 1 for count in steps.values()),
        "runs": f"{sum(num_runs.values())} of {len(trials)}",
        "stall": max(note["waited"] for note in notes),
    }


def line_of(found):
    """Says in a line what was found."""
    return (
        f"n={found['n']} metrics, {found['lost']} lost, {found['doubled']} doubled, "
        f"{found['runs']} runs; longest stall of {found['epochs']} epochs {found['stall']:.3f} s"
    )


def measure(how, seconds):
    """Runs one search with one outage and prints what came of it."""
    duration = SECONDS_BEFORE + seconds + SECONDS_AFTER
    num_trials = math.ceil(duration / (EPOCHS * EPOCH_SECONDS)) * NUM_WORKERS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with TrackingServer(root / "server") as server:
            os.environ["MLFLOW_TRACKING_URI"] = server.uri
            runs = opened_runs(root)
            outage = Outage(server, seconds)
            begin = time.monotonic()
            with runs:
                with Mirror(runs) if how == "mirror" else nullcontext(runs) as recorder:
                    outage.start()
                    trials = search(root, recorder, num_trials)
                    trained = time.monotonic() - begin
                drained = time.monotonic() - begin - trained
            outage.join()
            found = compared(root, runs, trials)
    print(
        f"{how:<7} killed for {seconds:3.0f} s, back after {outage.away_seconds:5.1f} s: "
        f"{line_of(found)}; search {trained:.1f} s + {drained:.1f} s to send the rest",
        flush=True,
    )


def start(root, drain_seconds=600.0):
    """Does what the stage does from its start; returns runs, trials and what was put right."""
    study, runs = opened_study(root), opened_runs(root)
    close_orphans(study, max_retries=0, reason="the search was killed")
    with runs, Mirror(runs, drain_seconds=drain_seconds) as recorder:
        differences = runs.reconcile(trial_records(study))
        trials = search(root, recorder, NUM_TRIALS)
    return runs, trials, differences


def kill_in_mid_search(root, server):
    """Kills the server some seconds after the first epoch."""
    while not (root / "notes").exists():
        time.sleep(0.1)
    time.sleep(4)
    server.kill()


def start_twice(how, seconds):
    """Runs a search that does not see the server again, and the next start, which does.

    Args:
        how: `ended`: the search ends meanwhile; `killed`: it is killed.
        seconds: For how long the first one waits at its end, or is left alone before its kill.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with TrackingServer(root / "server") as server:
            os.environ["MLFLOW_TRACKING_URI"] = server.uri
            loss = threading.Thread(target=kill_in_mid_search, args=(root, server))
            loss.start()
            if how == "ended":
                try:
                    start(root, drain_seconds=seconds)
                except StudyError as error:
                    first = str(error).partition("Training is done")[2].partition(". Start")[0]
            else:
                driver = get_context("spawn").Process(target=start, args=(root,))
                driver.start()
                loss.join()
                time.sleep(seconds)
                driver.kill()
                driver.join()
                first = f" killed {seconds:.0f} s after the server"
            server.start()
            server.wait()
            runs, trials, differences = start(root)
            found = compared(root, runs, trials)
            left = len(runs.reconcile(trials, is_thorough=True))
    kinds = dict(Counter(difference.kind for difference in differences))
    print(
        f"{how:<7}{first}; next start: {kinds} put right, then {left} differences; "
        f"{line_of(found)}",
        flush=True,
    )


def main():
    """Prints one line per recorder and outage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    seconds = {"mirror": [10, 60], "direct": [10], "ended": [5], "killed": [4]}
    for how, default in seconds.items():
        parser.add_argument(f"--{how}", type=float, nargs="*", default=default, metavar="SECONDS")
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, {NUM_WORKERS} workers, "
        f"{EPOCHS} epochs of {EPOCH_SECONDS} s a trial, 3 metrics an epoch"
    )
    for how in seconds:
        for away in getattr(arguments, how):
            (measure if how in ("mirror", "direct") else start_twice)(how, away)


if __name__ == "__main__":
    main()
