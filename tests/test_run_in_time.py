"""A run takes its budget: cheap trials first, whole ones last, and each stage what is left."""

import json
import signal
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.keras, pytest.mark.alone]

BUDGET = 60.0
STAGES = ("search@transfer", "confirm@transfer")


@pytest.fixture(scope="module")
def checkout(embedded, tmp_path_factory):
    made = embedded.copy(tmp_path_factory.mktemp("checkout"))
    made.set({"budget": f"{BUDGET:.0f}s", "confirm": {"top": "auto", "seeds": "auto"}})
    made.set({"search": {"trials": "auto", "rungs": 2, "epochs": 10}})
    return made


def read(checkout, name):
    return json.loads((checkout.folder / name).read_text(encoding="utf-8"))


def spent(checkout):
    return {stage: one["seconds"] for stage, one in read(checkout, "mlruns/clock.json").items()}


def finished(checkout):
    trials = read(checkout, "results/transfer/study.json")["trials"]
    return [trial for trial in trials if trial["state"] in ("COMPLETE", "PRUNED")]


def test_a_run_that_is_killed_goes_on_with_what_is_left(checkout):
    process = checkout.start("dvc", "repro", *STAGES)
    trained = checkout.folder / "mlruns/optuna.db"
    while not trained.exists():
        time.sleep(0.1)
    time.sleep(8)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = spent(checkout)
    assert before["search@transfer"] > 5
    checkout.repro(*STAGES)
    after = spent(checkout)
    # Most of so short a budget is the start of the stages; what was spent counts.
    assert after["search@transfer"] > before["search@transfer"]
    assert 0.5 * BUDGET < sum(after.values()) < 2.5 * BUDGET
    assert finished(checkout)
    record = read(checkout, "results/transfer/confirm.json")
    assert record["top"] == record["seeds"] == "auto"
    # How many seeds of each there is time for differs; who has the most is always compared.
    assert min(one["num_seeds"] for one in record["candidates"]) >= 1
    most = max(record["candidates"], key=lambda one: one["num_seeds"])
    assert record["winner"]["mean"] >= most["mean"]
    assert "budget 1:00: " in checkout.new_pipeline("status")
    checkout.new_pipeline("audit")
    assert "didn't change, skipping" in checkout.repro(*STAGES)
