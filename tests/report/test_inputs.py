"""What the report reads, and what it says when something is missing or damaged."""

import json
import shutil

import numpy as np
import pytest

from pipeline.errors import DataIntegrityError
from pipeline.report.inputs import read_results
from tests.report.example import write_example


@pytest.fixture
def root(example_root, tmp_path):
    return shutil.copytree(example_root, tmp_path / "copy")


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_the_registered_study_comes_first(root):
    edit(root / "results/registration.json", study="scratch")
    assert [study.name for study in read_results(root).studies] == ["scratch", "transfer"]


def test_without_a_registered_one_the_best_on_the_confirmation_part_comes_first(root):
    (root / "results/registration.json").unlink()
    results = read_results(root)
    assert results.registration is None
    assert [study.name for study in results.studies] == ["transfer", "scratch"]


def test_the_smallest_loss_comes_first_where_a_loss_is_the_objective(tmp_path):
    write_example(tmp_path, n=200, num_trials=8, objective="val_log_loss", registered=False)
    first, second = read_results(tmp_path).studies
    assert first.confirm.winner.mean < second.confirm.winner.mean


def test_a_study_that_is_not_in_the_metrics_is_not_read(root):
    metrics = json.loads((root / "results/metrics.json").read_text())
    (root / "results/metrics.json").write_text(json.dumps({"transfer": metrics["transfer"]}))
    assert [study.name for study in read_results(root).studies] == ["transfer"]


@pytest.mark.parametrize(
    "name",
    [
        "data/split.json",
        "results/metrics.json",
        "results/calibration.json",
        "results/evaluation.json",
        "results/speed.json",
        "results/predictions.npz",
        "results/transfer/study.json",
        "results/transfer/confirm.json",
    ],
)
def test_a_missing_file_is_named_with_the_command_that_writes_it(root, name):
    (root / name).unlink()
    with pytest.raises(DataIntegrityError, match=rf"is no .*yet: .*{name}\. Run `dvc repro`"):
        read_results(root)


def test_a_damaged_file_is_named(root):
    (root / "results/metrics.json").write_text('{"transfer": ')
    with pytest.raises(DataIntegrityError, match=r"metrics.json is not readable: .*Delete it"):
        read_results(root)


def test_predictions_of_another_run_are_refused(root):
    with np.load(root / "results/predictions.npz") as archive:
        kept = {name: archive[name] for name in archive.files if name != "transfer"}
    np.savez(root / "results/predictions.npz", **kept)
    with pytest.raises(DataIntegrityError, match=r"Received: no transfer\. Run `dvc repro -f eval"):
        read_results(root)
