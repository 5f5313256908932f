"""The stage `diagnose` in a real checkout, from DVC's side."""

import json
import os
import signal
import time

import pytest
from ruamel.yaml import YAML

from pipeline.trials.diagnosis import diagnosis_of

pytestmark = [pytest.mark.slow, pytest.mark.keras]

STAGE = "diagnose@scratch"
SPACE = {
    "units": {"type": "int", "low": 16, "high": 64},
    "optimizer": {"type": "choice", "choices": ["adam", "adamw"]},
}


@pytest.fixture(scope="module")
def checkout(embedded, tmp_path_factory):
    """A confirmed study of digits on their pixels, to diagnose."""
    made = embedded.copy(tmp_path_factory.mktemp("diagnosed"))
    made.set({"search": {"trials": 3, "epochs": 3}, "confirm": {"seeds": 2, "export": "best_seed"}})
    made.set({"studies": {"scratch": {"base": "none", "space": SPACE, "enqueue": []}}})
    made.repro("confirm@scratch")
    return made


def file_of(checkout):
    return checkout.folder / "results/diagnosis/scratch.json"


def test_without_time_it_says_what_the_records_say(checkout):
    checkout.repro(STAGE)
    found = diagnosis_of(checkout.folder, "scratch")
    assert found.ablation is None
    assert [one.num_images for one in found.sizes] == [found.num_images]
    assert 0 < found.error < 1


def test_a_kill_in_the_middle_leaves_nothing_and_the_next_run_is_whole(
    checkout, tmp_path, monkeypatch
):
    # More than it needs on any machine.
    checkout.set({"diagnose": {"time": "3h"}})
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = len(list(checkout.folder.glob("mlruns/**/meta.yaml")))
    killed = checkout.fork("pipeline", "diagnose", "scratch")
    file_of(checkout).unlink()
    while not list(tmp_path.glob("diagnose-*/*.npy")):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not file_of(checkout).exists()
    assert list(file_of(checkout).parent.glob("*")) == []

    checkout.repro(STAGE)
    found = diagnosis_of(checkout.folder, "scratch")
    sizes = [one.num_images for one in found.sizes]
    assert sizes == sorted(sizes)
    assert len(sizes) == 5
    assert all(len(one.errors) == 2 for one in found.sizes)
    # Once more with all images, to see how well these are fitted.
    assert found.train_error[0] == found.train_error[1]
    assert found.more_data.answer in ("yes", "no", "unclear")
    assert found.ablation.num_left == 0
    assert {one.verdict for one in found.ablation.changes} <= {
        "better", "worse", "no clear difference",
    }  # fmt: skip
    # Nothing of it is a trial.
    assert len(list(checkout.folder.glob("mlruns/**/meta.yaml"))) == before
    study = json.loads((checkout.folder / "results/scratch/study.json").read_text())
    assert len(study["trials"]) == 3


def test_a_second_run_does_nothing(checkout):
    content = file_of(checkout).read_bytes()
    assert "Data and pipelines are up to date" in checkout.repro(STAGE)
    assert file_of(checkout).read_bytes() == content


def test_nothing_but_the_report_depends_on_it(checkout):
    stages = YAML(typ="safe").load((checkout.folder / "dvc.yaml").read_text())["stages"]
    depends = {
        name
        for name, stage in stages.items()
        if any("diagnosis" in str(dep) for dep in stage.get("do", stage)["deps"])
    }
    assert depends == {"report"}
