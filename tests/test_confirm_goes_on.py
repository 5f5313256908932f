"""The stage `confirm` does no training twice: not after a kill, nor when it is asked for more."""

import json
import os
import re
import shutil
import signal
import sqlite3
import time
from contextlib import closing

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.keras]

STAGE = "confirm@scratch"
TRAININGS = "mlruns/trainings/digits-scratch"


@pytest.fixture(scope="module")
def checkout(embedded, tmp_path_factory):
    made = embedded.copy(tmp_path_factory.mktemp("checkout"))
    # One worker, since TensorFlow's start is most of what one costs.
    made.set({"search": {"trials": 3, "epochs": 20, "workers": 1}})
    made.set({"confirm": {"top": 2, "seeds": 2, "export": "ensemble", "max_slowdown": 2.0}})
    made.repro("search@scratch")
    return made


def kept(checkout):
    """Returns the uids of the trainings that are kept; one that is being written is not."""
    stems = sorted(file.stem for file in (checkout.folder / TRAININGS).glob("*.json"))
    return [stem for stem in stems if not stem.endswith(".part")]


def report(checkout):
    text = (checkout.folder / "results/scratch/confirm.json").read_text(encoding="utf-8")
    return json.loads(text)


def runs(checkout):
    """Returns the uid and the status of each run of a confirmation."""
    query = (
        "select uid.value, runs.status from runs "
        "join tags uid on uid.run_uuid = runs.run_uuid and uid.key = 'trial_uid' "
        "join tags role on role.run_uuid = runs.run_uuid and role.key = 'role' "
        "where role.value = 'confirm' and runs.lifecycle_stage = 'active'"
    )
    with closing(sqlite3.connect(checkout.folder / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def finished(checkout):
    return sorted(uid for uid, status in runs(checkout) if status == "FINISHED")


def results(report):
    """What a report says of its trainings, but for when it was."""
    return report["candidates"], report["winner"]["metrics"], report["exported"]["weights_sha256"]


def test_after_a_kill_it_goes_on_where_it_was(checkout):
    process = checkout.start("dvc", "repro", STAGE)
    deadline = time.monotonic() + 200
    while not kept(checkout):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = kept(checkout)
    assert len(done) < 4

    output = checkout.repro(STAGE)
    found = re.findall(r"(\d) of 4 trainings were done before", output)
    assert found == [str(len(done))], output
    uids = sorted(training["uid"] for training in report(checkout)["trainings"])
    assert kept(checkout) == uids
    assert finished(checkout) == uids
    assert "RUNNING" not in {status for _, status in runs(checkout)}
    assert "0 differences" in checkout.pipeline("audit")

    gone_on = results(report(checkout))
    shutil.rmtree(checkout.folder / TRAININGS)
    assert "done before" not in checkout.repro("-f", "--single-item", STAGE)
    assert results(report(checkout)) == gone_on


def test_another_rule_for_the_export_trains_nothing(checkout):
    checkout.set({"confirm": {"export": "best_seed"}})
    assert "4 of 4 trainings were done before" in checkout.repro(STAGE)
    assert len(report(checkout)["exported"]["members"]) == 1


def test_more_seeds_train_only_the_new_ones_and_lost_runs_are_written_again(checkout):
    before = {one["uid"]: one for one in report(checkout)["trainings"]}
    for file in checkout.folder.glob("mlflow.db*"):
        file.unlink()
    checkout.set({"confirm": {"seeds": 3}})
    assert "4 of 6 trainings were done before" in checkout.repro(STAGE)
    after = {one["uid"]: one for one in report(checkout)["trainings"]}
    assert len(after) == 6
    assert {uid: after[uid] for uid in before} == before
    assert finished(checkout) == sorted(after)
