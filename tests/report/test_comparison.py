"""The picture of a comparison: whatever variants did, it is drawn."""

import matplotlib.image
import pytest

from pipeline.report.comparison import Panel, draw_comparison


def panel(**told):
    curves = {"short": [[50.0], [60.0, 70.0]], "long": [[40.0, 50.0, 60.0]], "gone": [[], []]}
    places = {"short": [1, 2], "long": [10, 20, 30], "gone": []}
    return Panel(curves=curves, places=places, x_label="update", y_label="%", **told)


@pytest.mark.parametrize("count", [1, 2])
def test_trainings_of_different_length_and_none_are_drawn(tmp_path, count):
    file = tmp_path / "comparison.png"
    values = {"short": [0.5, 0.6], "long": [0.6], "gone": [0.1, 0.1]}
    panels = [panel(is_log=number == 1) for number in range(count)]
    draw_comparison(file, title="Made: is it so?", panels=panels, values=values)
    height, width = matplotlib.image.imread(file).shape[:2]
    assert width / height == pytest.approx(9.0 / 4.2 if count == 1 else 13.0 / 4.2, rel=0.01)
