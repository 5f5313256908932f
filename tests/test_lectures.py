"""docs/lectures.md claims nothing that does not exist, and leaves no hyperparameter out."""

import re
from pathlib import Path

import pytest

from pipeline.training.hyperparameters import HYPERPARAMETERS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/lectures.md").read_text(encoding="utf-8")
TOPICS = TEXT.split("## Topics")[1].split("## ")[0]
# Without the table's head and the line below it.
PARAMETERS = [line.split("|")[3] for line in TOPICS.splitlines() if line.startswith("|")][2:]
PATHS = sorted(set(re.findall(r"`((?:pipeline|tests|benchmarks|docs)/[\w/.]+)`", TEXT)))


def expanded(cell):
    names = set(re.findall(r"`([a-z]\w+)`", cell))
    return names | ({f"units_{index}" for index in range(5)} if "`units_0` to" in cell else set())


@pytest.mark.parametrize("path", PATHS)
def test_every_file_that_is_named_exists(path):
    assert (ROOT / path).is_file()


def test_every_hyperparameter_is_in_the_table():
    named = set().union(*map(expanded, PARAMETERS))
    # Ours: the lectures divide by 255 and leave it at that.
    assert set(HYPERPARAMETERS) - named == {"feature_scaling"}


def test_every_name_in_the_parameter_column_is_a_hyperparameter():
    elsewhere = ("in `params.yaml`", "`studies.NAME.enqueue`")
    for cell in PARAMETERS:
        if not any(words in cell for words in elsewhere):
            assert expanded(cell) <= set(HYPERPARAMETERS), cell
