"""The command `cuts` prints what `embed` keeps, or what `plan` chooses from."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands import cuts
from pipeline.errors import ConfigError

pytestmark = pytest.mark.keras

SECTION = """
embed:
  pixels_size: 64
  bases:
    lite: {model: efficientnet_lite0, image_size: 32, cuts: %s%s}
  batch_size: 8
  max_bytes: %d
"""


@pytest.fixture
def show(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder with a params.yaml; returns its lines."""
    monkeypatch.chdir(tmp_path)

    def show(*arguments, cuts_value="auto", more="", max_bytes=10**9):
        Path("params.yaml").write_text(SECTION % (cuts_value, more, max_bytes))
        parser = argparse.ArgumentParser()
        cuts.add_arguments(parser)
        assert cuts.main(parser.parse_args(arguments)) == 0
        return capsys.readouterr().out.splitlines()

    return show


def row(lines, name):
    """The cells of a cut point; the first tells whether it is kept."""
    found = next(line for line in lines if line[2:].startswith(f"{name} "))
    return [found[0], *found[2:].split()]


def kept(lines):
    return [line.split()[1] for line in lines if line.startswith("* ")]


def test_it_shows_the_bases_of_params_yaml_at_their_size(show):
    lines = show(cuts_value="[block4_add]")
    assert lines[0] == "lite (efficientnet_lite0) at 32 pixels"
    assert row(lines, "block4_add") == [
        *("*", "block4_add", "4x4", "4x4x40", "58,416", "3,354,608", "1,280", "76.8", "MB", "kept"),
    ]
    assert row(lines, "block3_bn2")[-4:] == ["end", "of", "a", "block"]
    assert row(lines, "block3_bn0")[6] == "18,432"


def test_resolutions_stand_apart(show):
    lines = show()
    above = lines[lines.index("") - 1]
    below = lines[lines.index("") + 1]
    assert above.split()[1:3] == ["32x32", "32x32x3"]
    assert below.split()[:2] == ["conv_stem", "16x16"]


def test_what_is_kept_is_summed_up(show):
    lines = show(cuts_value="[block5_bn2]")
    assert "kept: block5_bn2" in lines
    assert "60,000 rows of them take 38.4 MB of embed.max_bytes=1.00 GB" in lines


def test_what_is_left_to_the_plan_is_not_told_as_kept(show):
    lines = show()
    assert kept(lines) == []
    assert "kept: what the stage `plan` chooses" in lines
    probed = [line.split()[0] for line in lines if line.endswith("the plan looks at it")]
    assert {"block4_add", "block10_add", "avg_pool"} < set(probed)
    assert "block3_bn2" not in probed


def test_another_size_changes_shapes(show):
    lines = show("efficientnet_lite0", "--image-size", "64")
    assert row(lines, "block4_add")[3] == "8x8x40"


def test_the_rows_of_split_and_their_views_are_counted(show):
    Path("data").mkdir()
    images = np.zeros((7, 2, 2), np.uint8)
    np.savez("data/train.npz", images=images, train=np.arange(5))
    named = {"cuts_value": "[block4_add]"}
    assert any(line.startswith("7 rows of them") for line in show(**named))
    lines = show(**named, more=", views: {hflip: true}")
    assert any(line.startswith("12 rows of them") for line in lines)


def test_pooled_cuts_show_what_is_kept_of_them(show):
    lines = show(cuts_value="[block4_add]", more=", pooling: {block4_add: average}")
    assert row(lines, "block4_add")[3] == "2x2x40"


def test_cuts_side_by_side_stand_below_the_others(show):
    lines = show(cuts_value="[block4_add, [block4_add, 'block5_bn2:global']]")
    assert row(lines, "block4_add+block5_bn2:global")[:4] == [
        *("*", "block4_add+block5_bn2:global", "-", str(2 * 2 * 40 + 80)),
    ]
    assert "kept: block4_add, block4_add+block5_bn2:global" in lines


def test_what_phase_2_alone_starts_from_is_kept_too(show):
    lines = show(cuts_value="[block5_bn2]", more=", starts: [block4_add]")
    assert sorted(kept(lines)) == ["block4_add", "block5_bn2"]


def test_named_cuts_are_the_ones_kept(show):
    assert kept(show(cuts_value="[block5_bn2]")) == ["block5_bn2"]


def test_a_base_of_the_table_needs_no_weights(show, monkeypatch, tmp_path):
    # Port 9 of this machine answers nobody.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    lines = show("mobilenet_v3_small")
    assert lines[0] == "mobilenet_v3_small at 96 pixels"
    assert row(lines, "avg_pool")[3] == "576"


def test_a_model_file_is_shown_at_its_own_size(show, tmp_path):
    import keras

    inputs = keras.Input((20, 20, 1))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    keras.Model(inputs, keras.layers.Flatten(name="top")(x)).save(tmp_path / "own.keras")
    lines = show("own.keras")
    assert lines[0].startswith("base (own.keras: ")
    assert lines[0].endswith(" at 20 pixels")
    assert row(lines, "conv")[2] == "18x18"


def test_an_unknown_base_names_the_nearest(show):
    with pytest.raises(ConfigError, match="Did you mean 'efficientnet_lite0'"):
        show("efficientnetlite0")


def test_a_missing_file_is_said(show):
    with pytest.raises(ConfigError, match=r"a file that is there. Received: model=no\.keras"):
        show("no.keras")
