"""The command `cuts` prints what `embed` would take."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands import cuts
from pipeline.errors import ConfigError

pytestmark = pytest.mark.keras

SECTION = """
embed:
  bases:
    efficientnet_lite0: {image_size: 32, cuts: %s}
  batch_size: 8
  max_bytes: 1000000000
"""


@pytest.fixture
def show(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder with a params.yaml; returns its lines."""
    monkeypatch.chdir(tmp_path)

    def show(*arguments, cuts_value="auto"):
        Path("params.yaml").write_text(SECTION % cuts_value)
        parser = argparse.ArgumentParser()
        cuts.add_arguments(parser)
        assert cuts.main(parser.parse_args(arguments)) == 0
        return capsys.readouterr().out.splitlines()

    return show


def row(lines, name):
    return next(line.split() for line in lines if line.startswith(f"{name} "))


def test_it_shows_the_bases_of_params_yaml_at_their_size(show):
    lines = show()
    assert lines[0].startswith("efficientnet_lite0 at 32 pixels, 60,000 images")
    found = row(lines, "block4_add")
    assert found == ["block4_add", "4x4x40", "58,416", "3,354,608", "1,280", "kept"]
    assert row(lines, "block3_bn2")[-4:] == ["end", "of", "a", "block"]
    assert row(lines, "block3_bn0")[-1] == "18,432"


def test_another_size_changes_shapes_and_what_fits(show):
    lines = show("efficientnet_lite0", "--image-size", "64")
    assert row(lines, "block4_add")[1] == "8x8x40"
    assert row(lines, "block2_add")[-2:] == ["too", "large"]


def test_the_images_of_split_are_counted(show):
    Path("data").mkdir()
    np.savez("data/train.npz", images=np.zeros((7, 2, 2), np.uint8))
    assert "7 images" in show()[0]


def test_named_cuts_are_the_ones_kept(show):
    lines = show(cuts_value="[block5_bn2]")
    assert [line.split()[0] for line in lines if line.endswith("kept")] == ["block5_bn2"]


def test_an_unknown_base_names_the_nearest(show):
    with pytest.raises(ConfigError, match="Did you mean 'efficientnet_lite0'"):
        show("efficientnet_lite")
