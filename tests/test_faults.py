"""A search that gets a signal at a named point: outputs are whole or absent, states are true."""

import json
import signal
import sqlite3
import time

import pytest

from testing.faults import POINTS

pytestmark = [pytest.mark.slow]

# Of 5 configurations 2 go on to the second rung.
TRIALS, FINISHED = 5, 7
OUTPUTS = ("study.json", "best.json", "trials.csv")
# Every point with the signal that nothing can be done about, and the others where they matter most.
CASES = [(point, "SIGKILL") for point in POINTS]
CASES += [("mid-epoch", "SIGTERM"), ("before-tell", "SIGINT")]


@pytest.fixture(scope="module")
def checkout(embedded, tmp_path_factory):
    made = embedded.copy(tmp_path_factory.mktemp("checkout"))
    made.set({"search": {"trials": TRIALS, "rungs": 2, "epochs": 4}})
    return made


def search(checkout, point, signum):
    """Runs the stage; returns its exit code and output."""
    process = checkout.fork("testing.faults", point, signum, "search", "scratch")
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def rows(file, query):
    with sqlite3.connect(file, timeout=30) as connection:
        return connection.execute(query).fetchall()


def finished(checkout):
    query = """
        select t.trial_id, t.number, t.state, v.value from trials t
        join studies s on s.study_id = t.study_id and s.study_name = 'digits-scratch'
        left join trial_values v on v.trial_id = t.trial_id
        where t.state in ('COMPLETE', 'PRUNED')
    """
    return set(rows(checkout.folder / "mlruns/optuna.db", query))


def assert_nothing_runs(checkout):
    states = rows(checkout.folder / "mlruns/optuna.db", "select distinct state from trials")
    assert ("RUNNING",) not in states
    statuses = rows(checkout.folder / "mlflow.db", "select distinct status from runs")
    assert ("RUNNING",) not in statuses


@pytest.mark.parametrize(("point", "signum"), CASES)
def test_a_signal_costs_at_most_what_was_running(checkout, point, signum):
    # Another seed is another study, so that every case begins with an empty one.
    checkout.set({"search": {"seed": 100 + CASES.index((point, signum))}})
    for name in OUTPUTS:
        (checkout.folder / "results/scratch" / name).unlink(missing_ok=True)
    code, output = search(checkout, point, signum)
    number = getattr(signal, signum)
    assert code == (-number if signum == "SIGKILL" else 128 + number), output
    for name in OUTPUTS:
        file = checkout.folder / "results/scratch" / name
        if file.exists() and file.suffix == ".json":
            json.loads(file.read_text())
    before = finished(checkout)
    if signum != "SIGKILL":
        # Who may still say something leaves nothing for the next search to put right.
        assert "0 differences found" in checkout.pipeline("audit")
        assert_nothing_runs(checkout)

    code, output = search(checkout, "none", "SIGKILL")
    assert code == 0, output
    assert before <= finished(checkout)
    assert len(finished(checkout)) == FINISHED
    assert_nothing_runs(checkout)
    assert f"{trials_of(checkout)} trials, 0 differences found" in checkout.pipeline("audit")
    assert not list((checkout.folder / "results/scratch").glob("*.part"))


def trials_of(checkout):
    exported = json.loads((checkout.folder / "results/scratch/study.json").read_text())
    numbers = [trial["number"] for trial in exported["trials"]]
    assert numbers == list(range(len(numbers)))
    assert (checkout.folder / "results/scratch/trials.csv").read_text().count("\n") > len(numbers)
    return len(numbers)


def test_a_search_whose_time_is_up_kills_what_hangs_and_says_what_is_missing(checkout):
    checkout.set({"search": {"seed": 200, "timeout": "10s", "trials": 500, "rungs": 1}})
    start = time.monotonic()
    code, output = search(checkout, "hang", "SIGKILL")
    assert code == 0, output
    # Without the deadline it would hang for ever; `benchmarks.budget` measures the seconds.
    assert time.monotonic() - start < 10 + 60
    missing = 500 - len(finished(checkout))
    assert missing > 0
    assert f"search.timeout is over and {missing} trials are missing" in output
    said = f"{missing} trials are missing: search.timeout was over at"
    status = checkout.pipeline("status")
    assert said in status, status
    assert_nothing_runs(checkout)
    assert "0 differences found" in checkout.pipeline("audit")
    checkout.set({"search": {"timeout": "none", "trials": TRIALS}})
