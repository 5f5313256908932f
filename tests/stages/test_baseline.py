"""A winner is compared with the best of the networks without a base, image by image."""

import numpy as np
import pytest

from pipeline.evaluation.metrics import METRICS
from pipeline.files import sha256_file
from pipeline.studies.comparison import against_baseline
from pipeline.workspace import confirmed_answers_file
from testing.records import made_confirmation

NUM_IMAGES, NUM_CLASSES = 600, 3


@pytest.fixture
def labels(tmp_path):
    labels = np.random.default_rng(0).integers(0, NUM_CLASSES, 2 * NUM_IMAGES)
    confirmation = np.arange(NUM_IMAGES, 2 * NUM_IMAGES)
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data/train.npz", labels=labels, confirmation=confirmation)
    return labels[confirmation]


def confirm(root, labels, study, base, *accuracies, objective="val_accuracy"):
    """Writes answers of trainings that are wrong for the first images, so many of them."""
    answers = np.full((len(accuracies), NUM_IMAGES, NUM_CLASSES), 0.1, np.float32)
    for one, accuracy in zip(answers, accuracies, strict=True):
        wrong = np.arange(NUM_IMAGES) < round((1 - accuracy) * NUM_IMAGES)
        one[np.arange(NUM_IMAGES), (labels + wrong) % NUM_CLASSES] = 0.8
    file = confirmed_answers_file(root, study)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, answers)
    exported = {"answers_sha256": sha256_file(file)}
    told = {"study": study, "base": base, "n": NUM_IMAGES, "objective": objective}
    return made_confirmation(exported=exported, **told)


def test_the_difference_of_the_means_has_an_interval(tmp_path, labels):
    ours = confirm(tmp_path, labels, "transfer", "lite", 0.90, 0.92)
    theirs = confirm(tmp_path, labels, "scratch", "none", 0.80, 0.81, 0.82)
    found = against_baseline(ours, [theirs], root=tmp_path)
    assert found.difference == pytest.approx(0.10)
    assert 0.05 < found.low < 0.09 < 0.11 < found.high < 0.15
    assert (found.study, found.n, list(found.num_seeds)) == ("scratch", NUM_IMAGES, [2, 3])
    assert found.told.startswith("its mean accuracy is better than scratch's, by 0.1000 (0.0")


def test_where_the_baseline_is_better_that_is_said(tmp_path, labels):
    ours = confirm(tmp_path, labels, "transfer", "lite", 0.80, 0.80)
    theirs = confirm(tmp_path, labels, "scratch", "none", 0.90, 0.90)
    found = against_baseline(ours, [theirs], root=tmp_path)
    assert found.difference == pytest.approx(-0.10)
    assert found.low < -0.10 < found.high < 0
    assert "is worse than scratch's" in found.told


def test_seeds_that_differ_more_than_the_means_show_nothing(tmp_path, labels):
    ours = confirm(tmp_path, labels, "transfer", "lite", 0.80, 0.92)
    theirs = confirm(tmp_path, labels, "scratch", "none", 0.85, 0.85)
    found = against_baseline(ours, [theirs], root=tmp_path)
    assert found.low < 0 < found.high
    assert "not shown to be better" in found.told


def test_of_several_baselines_the_best_counts_and_all_intervals_hold(tmp_path, labels):
    ours = confirm(tmp_path, labels, "transfer", "lite", 0.90, 0.92)
    weak = confirm(tmp_path, labels, "weak", "none", 0.5, 0.5)
    strong = confirm(tmp_path, labels, "strong", "none", 0.80, 0.82)
    alone = against_baseline(ours, [strong], root=tmp_path)
    found = against_baseline(ours, [weak, strong], root=tmp_path)
    assert (found.study, found.difference) == ("strong", alone.difference)
    assert found.low < alone.low
    assert found.high > alone.high


def test_a_smaller_loss_is_better(tmp_path, labels):
    told = {"objective": "val_log_loss"}
    ours = confirm(tmp_path, labels, "transfer", "lite", 0.9, 0.9, **told)
    theirs = confirm(tmp_path, labels, "scratch", "none", 0.6, 0.6, **told)
    found = against_baseline(ours, [theirs], root=tmp_path)
    losses = [
        METRICS.get("log_loss")(np.load(confirmed_answers_file(tmp_path, name))[0], labels)
        for name in ("transfer", "scratch")
    ]
    assert found.difference == pytest.approx(losses[1] - losses[0])
    assert found.low > 0


def test_without_a_baseline_or_its_answers_nothing_is_said(tmp_path, labels):
    ours = confirm(tmp_path, labels, "transfer", "lite", 0.9)
    assert against_baseline(ours, [], root=tmp_path) is None
    early = made_confirmation(study="scratch", base="none", n=NUM_IMAGES)
    assert against_baseline(ours, [early], root=tmp_path) is None
    other = confirm(tmp_path, labels, "scratch", "none", 0.8)
    confirm(tmp_path, labels, "scratch", "none", 0.7)
    assert against_baseline(ours, [other], root=tmp_path) is None
