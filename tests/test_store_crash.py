"""A whole search goes on when the PostgreSQL under its study and its runs crashes.

The same with 200 trials: `python -m benchmarks.postgres`.
"""

import pytest

from benchmarks import postgres as benchmark
from benchmarks.postgres import EPOCHS, search_under_crashes

NUM_TRIALS = 30


@pytest.mark.slow
def test_a_crash_of_the_server_loses_and_doubles_nothing(postgres, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.new_database())
    monkeypatch.setattr(benchmark, "UP_SECONDS", (0.5, 2.0))
    monkeypatch.setattr(benchmark, "DOWN_SECONDS", (0.3, 1.5))
    of_study, of_runs, down_seconds, _ = search_under_crashes(
        postgres, num_trials=NUM_TRIALS, num_crashes=2, seed=1
    )
    assert len(down_seconds) == 2
    assert of_study == {"n": NUM_TRIALS, "lost": 0, "doubled": 0, "RUNNING": 0}
    num_points = NUM_TRIALS * EPOCHS * 2
    counts = {"n": num_points, "lost": 0, "doubled": 0, "RUNNING": 0, "runs": NUM_TRIALS}
    assert of_runs == counts
