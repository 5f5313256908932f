"""One long search: does the memory of driver and workers grow, does any process stay behind?

A real search of scikit-learn's digits with TensorFlow. Resident memory, open files and threads of
the driver and its workers are read every second from outside; the slope is a least-squares line
over trials, without the first fifth (imports, first graphs).

Run: python -m benchmarks.soak [--trials 300]
"""

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from testing.checkout import Checkout

COUNT = "select count(*) from trials where state in ('COMPLETE', 'PRUNED')"


@dataclass(frozen=True)
class Sample:
    """One look at the search: megabytes and numbers."""

    finished: int
    driver_mb: float
    workers_mb: float
    files: int
    threads: int
    zombies: int


def look(driver: psutil.Process, database: Path) -> Sample:
    """Reads a sample.

    Raises:
        psutil.NoSuchProcess: If the driver has ended.
    """
    children = driver.children(recursive=True)
    states = [_state(child) for child in children]
    return Sample(
        finished=_finished(database),
        driver_mb=driver.memory_info().rss / 1e6,
        workers_mb=sum(memory for _, memory in states),
        files=driver.num_fds(),
        threads=driver.num_threads(),
        zombies=sum(status == psutil.STATUS_ZOMBIE for status, _ in states),
    )


def _state(process: psutil.Process) -> tuple[str, float]:
    try:
        return process.status(), process.memory_info().rss / 1e6
    except psutil.NoSuchProcess:
        return "gone", 0.0


def _finished(database: Path) -> int:
    with sqlite3.connect(database, timeout=60) as connection:
        has_table = connection.execute("select 1 from sqlite_master where name = 'trials'")
        if not has_table.fetchone():
            return 0
        return int(connection.execute(COUNT).fetchone()[0])


def slope(samples: list[Sample], name: str) -> float:
    """Returns how much an attribute grows per trial."""
    finished = np.array([sample.finished for sample in samples], dtype=np.float64)
    values = np.array([getattr(sample, name) for sample in samples], dtype=np.float64)
    return float(np.polyfit(finished, values, 1)[0])


def main() -> None:
    """Prints slopes and extremes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300)
    args = parser.parse_args()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder))
        checkout.set({"search": {"trials": args.trials, "epochs": 8, "workers": 2}})
        checkout.repro("embed")
        start = time.monotonic()
        process = checkout.start(sys.executable, "-m", "pipeline", "search", "scratch")
        driver = psutil.Process(process.pid)
        database = Path(folder) / "mlruns/optuna.db"
        while process.poll() is None:
            if database.exists():
                samples.append(look(driver, database))
            time.sleep(1.0)
        seconds = time.monotonic() - start
        output, _ = process.communicate()
        if process.returncode:
            print(output)
    settled = [sample for sample in samples if sample.finished >= args.trials / 5]
    last = settled[-1]
    print(
        f"{args.trials} trials in {seconds:.0f} s, {len(settled)} samples, "
        f"{os.cpu_count()} cores, {platform.machine()}: driver {settled[0].driver_mb:.0f} -> "
        f"{last.driver_mb:.0f} MB, {slope(settled, 'driver_mb'):.4f} MB a trial; workers "
        f"{settled[0].workers_mb:.0f} -> {last.workers_mb:.0f} MB, most "
        f"{max(sample.workers_mb for sample in settled):.0f} MB, "
        f"{slope(settled, 'workers_mb'):.4f} MB a trial; files {settled[0].files} -> {last.files}, "
        f"threads {settled[0].threads} -> {last.threads}, most zombies at a time "
        f"{max(sample.zombies for sample in settled)}"
    )


if __name__ == "__main__":
    main()
