"""kill -9 of a whole search, or of single workers, at random moments: what is lost or doubled.

Real searches of scikit-learn's digits with TensorFlow, in a checkout of their own. Each search is
killed several times and started again until it has its target. Then the study is compared with what
it held before each kill, and with MLflow.

Run: python -m benchmarks.kills [--what search|worker] [--searches 10] [--trials 30] [--kills 50]
    [--rungs 3]
"""

import argparse
import os
import platform
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipeline.search.rungs import REDUCTION
from testing.checkout import Checkout

FINISHED = ("COMPLETE", "PRUNED")
ALL_TRIALS = "select trial_id, number, state, datetime_complete from trials"
TRIALS = """
    select t.trial_id, t.number, t.state, t.datetime_complete from trials t
    join studies s on s.study_id = t.study_id and s.study_name = 'digits-scratch'
"""
ATTRIBUTE = """
    select t.number, a.value_json from trials t
    join studies s on s.study_id = t.study_id and s.study_name = 'digits-scratch'
    join trial_user_attributes a on a.trial_id = t.trial_id and a.key = ?
"""
DOUBLED = """
    select count(*) from (
        select u.value, p.value from runs r
        join tags u on u.run_uuid = r.run_uuid and u.key = 'trial_uid'
        join tags p on p.run_uuid = r.run_uuid and p.key = 'mlflow.parentRunId'
        where r.lifecycle_stage = 'active' group by u.value, p.value having count(*) > 1)
"""


@dataclass
class Tally:
    """What came of all searches, summed."""

    kills: int = 0
    lost: int = 0
    wrong_counts: int = 0
    promoted_twice: int = 0
    running: int = 0
    doubled: int = 0
    audits_failed: int = 0
    killed_trials: int = 0
    not_retried: int = 0
    changed_retries: int = 0
    seconds: list[float] = field(default_factory=list)


class Search:
    """One search in a checkout, identified by its seed."""

    def __init__(self, checkout: Checkout, *, seed: int, trials: int, rungs: int) -> None:
        self._checkout = checkout
        self._trials = num_trainings(trials, rungs)
        self._folder: Path = checkout.folder
        checkout.set({"search": {"seed": seed, "trials": trials, "rungs": rungs}})

    def start(self) -> subprocess.Popen[str]:
        """Starts the stage, in a process group of its own."""
        started: subprocess.Popen[str] = self._checkout.start(
            sys.executable, "-m", "pipeline", "search", "scratch"
        )
        return started

    def trials(self, query: str = TRIALS) -> list[tuple[int, int, str, str]]:
        """Every trial of the current study: id, number, state, time of its end."""
        file = self._folder / "mlruns/optuna.db"
        if not file.exists():
            return []
        with sqlite3.connect(file, timeout=60) as connection:
            if not connection.execute(
                "select 1 from sqlite_master where name = 'trials'"
            ).fetchone():
                return []
            return connection.execute(query).fetchall()

    def finished(self) -> set[tuple[int, int, str, str]]:
        """Those of any study that are complete or pruned."""
        return {trial for trial in self.trials(ALL_TRIALS) if trial[2] in FINISHED}

    def attribute(self, key: str) -> dict[int, str]:
        """A user attribute of each trial that has it, as JSON."""
        with sqlite3.connect(self._folder / "mlruns/optuna.db", timeout=60) as connection:
            return dict(connection.execute(ATTRIBUTE, (key,)).fetchall())

    def check(self, tally: Tally) -> None:
        """Adds what is wrong with the stores at the end."""
        states = Counter(state for _, _, state, _ in self.trials())
        tally.wrong_counts += sum(states[state] for state in FINISHED) != self._trials
        finished = {number for _, number, state, _ in self.trials() if state in FINISHED}
        on = [old for new, old in self.attribute("promoted_from").items() if new in finished]
        tally.promoted_twice += len(on) - len(set(on))
        tally.running += states["RUNNING"]
        with sqlite3.connect(self._folder / "mlflow.db", timeout=60) as connection:
            query = "select count(*) from runs where status = 'RUNNING'"
            tally.running += connection.execute(query).fetchone()[0]
            tally.doubled += connection.execute(DOUBLED).fetchone()[0]
        audit = self._checkout.start(sys.executable, "-m", "pipeline", "audit")
        output, _ = audit.communicate()
        if audit.returncode:
            tally.audits_failed += 1
            print(output)
        self._check_retries(tally)

    def _check_retries(self, tally: Tally) -> None:
        retry_of = {int(old): new for new, old in self.attribute("retry_of").items()}
        hyperparameters = self.attribute("hyperparameters")
        for _, number, state, _ in self.trials():
            if state != "FAIL":
                continue
            tally.killed_trials += 1
            if number not in retry_of:
                tally.not_retried += 1
                continue
            successor = retry_of[number]
            # One that was killed before it was asked for its parameters hands them on.
            while successor not in hyperparameters and successor in retry_of:
                successor = retry_of[successor]
            if number in hyperparameters:
                same = hyperparameters[number] == hyperparameters.get(successor)
                tally.changed_retries += not same


def num_trainings(trials: int, rungs: int) -> int:
    """Returns how many trainings so many configurations come to on all rungs together."""
    total, on_rung = trials, trials
    for _ in range(rungs - 1):
        on_rung = -(-on_rung // REDUCTION)
        total += on_rung
    return total


def kill_searches(search: Search, tally: Tally, *, kills: int, draw: random.Random) -> None:
    """Kills the whole process group at random moments, then lets the search finish."""
    for _ in range(kills):
        before = search.finished()
        process = search.start()
        time.sleep(draw.uniform(2.0, 13.0))
        is_over = process.poll() is not None
        at_kill = search.finished()
        if not is_over:
            os.killpg(process.pid, signal.SIGKILL)
            tally.kills += 1
        process.communicate()
        tally.lost += len((before | at_kill) - search.finished())
        if is_over:
            break
    before = search.finished()
    start = time.monotonic()
    output, _ = search.start().communicate()
    tally.seconds.append(time.monotonic() - start)
    tally.lost += len(before - search.finished())
    if "Traceback" in output:
        print(output)


def kill_workers(search: Search, tally: Tally, *, kills: int, draw: random.Random) -> None:
    """Kills single workers of a running search at random moments."""
    process = search.start()
    driver = psutil.Process(process.pid)
    killed = 0
    while process.poll() is None and killed < kills:
        time.sleep(draw.uniform(1.0, 6.0))
        # Below the server that they are forks of.
        workers = list(set(driver.children(recursive=True)) - set(driver.children()))
        if workers:
            draw.choice(workers).kill()
            killed += 1
    output, _ = process.communicate()
    tally.kills += killed
    if process.returncode:
        print(output)


def main() -> None:
    """Prints a line per search, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", choices=("search", "worker"), default="search")
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--kills", type=int, default=50, help="in all searches together")
    parser.add_argument("--rungs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw, tally = random.Random(args.seed), Tally()
    kill = kill_searches if args.what == "search" else kill_workers
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder))
        # Bounds that no unlucky series of kills reaches; what is tested here is that none is lost.
        checkout.set({"search": {"epochs": 20, "max_retries": 20, "max_failures": 50}})
        checkout.set({"search": {"pruner": {"name": "none"}}})
        checkout.repro("embed")
        for number in range(args.searches):
            search = Search(
                checkout,
                seed=args.seed * 1000 + number,
                trials=args.trials,
                rungs=args.rungs,
            )
            share = (
                args.kills * (number + 1) // args.searches - args.kills * number // args.searches
            )
            kill(search, tally, kills=share, draw=draw)
            search.check(tally)
            print(f"search {number}: {tally}", flush=True)
    print(
        f"kill -9 of {args.what}: {tally.kills} kills in {args.searches} searches of {args.trials} "
        f"trials on {args.rungs} rungs (seed {args.seed}; {os.cpu_count()} cores, "
        f"{platform.machine()}): "
        f"{tally.lost} finished trials lost or run again, {tally.wrong_counts} searches without "
        f"exactly {num_trainings(args.trials, args.rungs)} finished, {tally.promoted_twice} "
        f"promoted twice, {tally.running} left RUNNING in either store, "
        f"{tally.doubled} doubled runs, {tally.audits_failed} audits failed; "
        f"{tally.killed_trials} attempts cut off, {tally.not_retried} of them not tried again, "
        f"{tally.changed_retries} tried again with other hyperparameters"
    )


if __name__ == "__main__":
    main()
