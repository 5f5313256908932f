"""The stage on made images: what it writes, and that a wrong label and a copy are in it."""

import csv
import json

import numpy as np
import pytest

from pipeline.data.labelled import LabelledImages, save_raw
from pipeline.errors import DataIntegrityError
from pipeline.features.arrays import ImageSet
from pipeline.features.pixels import write_pixels
from pipeline.review.params import ReviewParams
from pipeline.review.record import find_review
from pipeline.split_record import PartCounts, SplitRecord, write_split
from pipeline.stages import review

NAMES = ("ring", "star", "wave")
PARAMS = ReviewParams(shown=12, most_compared=1000, seed=42)
FLIPPED, COPIED = 17, 40


def write_data(root, *, num_rows=90):
    """Images of three patterns with grain; image 17 has a wrong label, image 40 a brighter copy."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(60, 200, (3, 16, 16))
    true = np.arange(90) % 3
    images = np.clip(patterns[true] + 25 * rng.normal(size=(90, 16, 16)), 0, 255).astype(np.uint8)
    images[89] = np.minimum(images[COPIED] * 1.1, 255).astype(np.uint8)
    true[89] = true[COPIED]
    labels = true.copy()
    labels[FLIPPED] = (labels[FLIPPED] + 1) % 3
    parts = {"train": np.arange(60), "val": np.arange(60, 75), "confirmation": np.arange(75, 90)}
    (root / "data").mkdir()
    np.savez(root / "data/train.npz", images=images, labels=labels, **parts)
    # The data set holds ten more, such as the test part.
    np.save(root / "data/train_rows.npy", np.arange(10, 100))
    raw = LabelledImages(
        images=np.concatenate([images[:10], images]),
        labels=np.concatenate([labels[:10], labels]),
        parts=np.full(100, "train", "<U5"),
        class_names=NAMES,
        image_files=[f"{number:03}.png" for number in range(100)],
    )
    save_raw(raw, root / "data/raw", dataset="made")
    counts = {name: PartCounts(images=len(rows), per_class=()) for name, rows in parts.items()}
    record = SplitRecord(
        dataset="made",
        class_names=NAMES,
        image_shape=(16, 16),
        counts=counts,
        duplicates={},
        sha256={},
    )
    write_split(record, root / "data/split.json")
    is_train = np.arange(num_rows) < 60
    some = ImageSet(image_shape=(16, 16), num_classes=3, is_train=is_train)
    write_pixels(root / "data/features/none", some, iter([images[:num_rows]]), image_size=None)


@pytest.fixture
def reviewed(tmp_path):
    write_data(tmp_path)
    return review.run(PARAMS, root=tmp_path), tmp_path


def test_the_wrong_label_comes_first_with_its_true_class_file_and_place(reviewed):
    record, _ = reviewed
    first = record.suspicious[0]
    assert (first.index, first.file, first.part) == (10 + FLIPPED, "027.png", "train")
    assert NAMES[first.likely] == NAMES[FLIPPED % 3]
    assert first.confidence < 0.5 < first.likely_confidence


def test_the_table_lists_every_suspicious_label(reviewed):
    record, root = reviewed
    with (root / "results/review.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == record.num_suspicious >= 1
    assert rows[0]["file"] == "027.png"
    assert rows[0]["label"] == NAMES[(FLIPPED + 1) % 3]


def test_the_copy_is_found_across_parts(reviewed):
    record, root = reviewed
    assert (record.num_pairs, record.num_across, record.num_contradictory) == (1, 1, 0)
    # One of 30 images of val and confirmation.
    assert record.share_across == pytest.approx(1 / 30, abs=1e-5)
    lines = (root / "results/review/near-duplicates.csv").read_text().splitlines()
    assert lines[1].startswith("50,050.png,train,")


def test_the_record_is_read_as_it_was_written_and_every_image_has_a_tile(reviewed):
    record, root = reviewed
    assert find_review(root) == record
    tiles = {path.stem for path in (root / "results/review/tiles").iterdir()}
    assert tiles == {str(one.index) for one in record.shown()}
    assert (root / "results/review/suspicious-labels.png").stat().st_size > 100


def test_twice_the_same_is_written(reviewed):
    _, root = reviewed
    files = [path for path in (root / "results").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    review.run(PARAMS, root=root)
    assert {path: path.read_bytes() for path in files} == before


def test_of_too_many_images_only_the_labels_are_judged(tmp_path):
    write_data(tmp_path)
    few = PARAMS.model_copy(update={"most_compared": 50})
    record = review.run(few, root=tmp_path)
    assert record.num_pairs is None
    assert "were not looked for" in review.summary(record, NAMES)[0]
    assert json.loads((tmp_path / "results/review.json").read_text())["num_pairs"] is None


def test_features_of_other_images_are_refused(tmp_path):
    write_data(tmp_path, num_rows=80)
    with pytest.raises(DataIntegrityError, match=r"Received: 80 images and 90\. Run `dvc repro"):
        review.run(PARAMS, root=tmp_path)
