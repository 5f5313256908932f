"""A PostgreSQL that crashes in the middle of a search: what the study and the runs have lost.

A real search (driver, two local workers; trainings that stream epochs instead of computing them)
keeps its study and its MLflow runs in two databases of a real PostgreSQL on loopback. The server is
stopped with `pg_ctl stop -m immediate`, which is a crash, and started again some seconds later,
several times, at moments drawn at random.

What the workers noted is compared with both databases: every trial that was trained to its end,
with its value, and every point of every metric.

Run: python -m benchmarks.postgres [--trials 200] [--crashes 6] [--seed 1]     (about 3 minutes)
"""

import argparse
import json
import os
import platform
import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from pipeline.config import read_document
from pipeline.records.lock import study_lock
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.thread import Mirror
from pipeline.records.storage import open_storage
from pipeline.records.studies import open_study, trial_records
from pipeline.search.distributions import FloatRange
from pipeline.search.engine import Engine
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.progress import Progress
from pipeline.search.queue import retire
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.messages import EpochRecord, TrialResult
from testing.postgres import PostgresServer
from testing.search import search_params

PARAMS = Path(__file__).parents[1] / "params.yaml"
IDENTITY = "0123456789abcdef" * 4
NAME = "crash-search"
NUM_WORKERS = 2
EPOCHS = 4
EPOCH_SECONDS = 0.1
# Between two crashes, and how long the server is down; both drawn from here, in seconds.
UP_SECONDS = (1.0, 8.0)
DOWN_SECONDS = (0.5, 6.0)


def train(spec, data, report):
    """Streams epochs, and notes each before it is reported and the end of the training."""
    rate = float(spec.hyperparameters["learning_rate"])
    for epoch in range(EPOCHS):
        time.sleep(EPOCH_SECONDS)
        metrics = {"val_accuracy": 1 - rate / (epoch + 1), "loss": rate / (epoch + 1)}
        note(data.train_file, {"uid": spec.uid, "epoch": epoch, "metrics": metrics})
        report(EpochRecord(epoch=epoch, metrics=metrics))
    note(data.train_file, {"uid": spec.uid, "value": metrics["val_accuracy"]})
    return TrialResult(
        outcome="complete",
        best_epoch=EPOCHS - 1,
        metrics=metrics,
        num_parameters=1,
        num_epochs=EPOCHS,
        seconds=EPOCHS * EPOCH_SECONDS,
    )


def note(file, content):
    """Appends one line, whole."""
    with Path(file).open("a", encoding="utf-8") as stream:
        stream.write(f"{json.dumps(content)}\n")


class Crashes(threading.Thread):
    """Crashes the server some times and starts it again.

    Attributes:
        down_seconds: Of each crash, from the stop until it answered again.
    """

    def __init__(self, server, *, count, seed):
        super().__init__(daemon=True)
        self._server, self._count, self._random = server, count, random.Random(seed)
        self.down_seconds = []

    def run(self):
        for _ in range(self._count):
            time.sleep(self._random.uniform(*UP_SECONDS))
            begin = time.monotonic()
            self._server.stop("immediate")
            time.sleep(self._random.uniform(*DOWN_SECONDS))
            self._server.start()
            self.down_seconds.append(time.monotonic() - begin)


def search(root, storage, recorder, num_trials):
    """Runs a search to its target."""
    import optuna

    study = open_study(
        storage,
        retire=retire,
        name=NAME,
        identity=IDENTITY,
        direction="maximize",
        attrs={"study_uid": IDENTITY},
    )
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
    return study


def compared_trials(notes, trials):
    """Counts the trained trials that the study lacks, has twice, or left RUNNING."""
    told = {note["uid"]: note["value"] for note in notes if "value" in note}
    kept = Counter(
        (trial.attributes.get("trial_uid"), trial.value, len(trial.curve))
        for trial in trials
        if trial.state == "COMPLETE"
    )
    expected = Counter((uid, value, EPOCHS) for uid, value in told.items())
    return {
        "n": len(told),
        "lost": (expected - kept).total(),
        "doubled": (kept - expected).total() + len(trials) - len(told),
        "RUNNING": sum(trial.state == "RUNNING" for trial in trials),
    }


def compared_points(notes, runs, trials):
    """Counts the points of metrics that MLflow lacks, has twice, or left in RUNNING runs."""
    times = {
        (trial.attributes["trial_uid"], epoch["epoch"]): epoch["at_ms"]
        for trial in trials
        for epoch in trial.attributes["epochs"]
    }
    told = Counter(
        (note["uid"], name, note["epoch"], value, times[note["uid"], note["epoch"]])
        for note in notes
        for name, value in note.get("metrics", {}).items()
    )
    found, statuses = Counter(), Counter()
    client = runs.store.client
    for trial in trials:
        uid = trial.attributes["trial_uid"]
        for run in runs.runs_of(uid):
            statuses[run.info.status] += 1
            for name in ("val_accuracy", "loss"):
                for point in client.get_metric_history(run.info.run_id, name):
                    found[uid, name, point.step, point.value, point.timestamp] += 1
    return {
        "n": told.total(),
        "lost": (told - found).total(),
        "doubled": (found - told).total(),
        "RUNNING": statuses["RUNNING"],
        "runs": statuses.total(),
    }


def search_under_crashes(server, *, num_trials, num_crashes, seed):
    """Runs one search with its study and, by MLFLOW_TRACKING_URI, its runs on the server.

    Returns:
        What was found of its trials, what of its runs, the seconds that the server was down each
        time, and the seconds of the search.
    """
    crashes = Crashes(server, count=num_crashes, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        storage = open_storage(root, server.new_database())
        runs = StudyRuns.open(
            root,
            dataset="crash",
            study="search",
            study_name=NAME,
            study_uid=IDENTITY,
            tags={"objective": "val_accuracy"},
            params={},
        )
        begin = time.monotonic()
        with study_lock(root, NAME, storage=storage), runs:
            with Mirror(runs) as recorder:
                crashes.start()
                study = search(root, storage, recorder, num_trials)
                trained = time.monotonic() - begin
                crashes.join()
            trials = trial_records(study)
        notes = [json.loads(line) for line in (root / "notes").read_text().splitlines()]
        of_study = compared_trials(notes, trials)
        of_runs = compared_points(notes, runs, trials)
    return of_study, of_runs, crashes.down_seconds, trained


def measure(server, *, num_trials, num_crashes, seed):
    """Prints what came of one search."""
    os.environ["MLFLOW_TRACKING_URI"] = server.new_database()
    of_study, of_runs, down_seconds, trained = search_under_crashes(
        server, num_trials=num_trials, num_crashes=num_crashes, seed=seed
    )
    down = ", ".join(f"{seconds:.1f}" for seconds in down_seconds)
    print(f"{len(down_seconds)} crashes, server down for {down} s; search {trained:.0f} s")
    print(f"study: {', '.join(f'{name}={value}' for name, value in of_study.items())}")
    print(f"MLflow: {', '.join(f'{name}={value}' for name, value in of_runs.items())}", flush=True)


def main():
    """Prints the machine and what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--crashes", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the crashes")
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, {arguments.trials} trials of {EPOCHS} "
        f"epochs of {EPOCH_SECONDS} s, {NUM_WORKERS} workers, seed {arguments.seed}"
    )
    server = PostgresServer()
    try:
        measure(
            server,
            num_trials=arguments.trials,
            num_crashes=arguments.crashes,
            seed=arguments.seed,
        )
    finally:
        server.close()


if __name__ == "__main__":
    main()
