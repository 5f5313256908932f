"""A figure as HTML: text stays text, colours follow the page, equal data give equal bytes."""

import re

import pytest
from matplotlib.figure import Figure

from pipeline.report.charts import (
    CROWDED,
    MAX_VECTOR_MARKS,
    chart,
    limit_values,
    mark_integers,
    mark_powers,
    mark_trials,
)
from tests.report.test_search import search


def draw(key="key", *, title="title", num_marks=0):
    with chart(key, alt='a "title" & more', size=(3, 2), num_marks=num_marks) as drawn:
        drawn.axes[0].plot([1, 2, 3], [3, 1, 2], "o")
        drawn.axes[0].set_title(title)
    return drawn.markup


def test_equal_data_give_equal_bytes():
    assert draw() == draw()


def test_nothing_tells_the_date_or_the_version():
    assert not re.search(r"20\d\d|metadata|matplotlib", draw(), re.IGNORECASE)


def test_the_alternative_text_is_escaped():
    assert 'role="img" aria-label="a &quot;title&quot; &amp; more"' in draw()


def test_text_stays_text_in_the_colour_of_the_page():
    assert re.search(r"<text [^>]*fill: currentColor[^>]*>title</text>", draw())


def test_markup_in_a_name_is_escaped():
    markup = draw(title="<script>alert(1)</script>")
    assert "<script" not in markup
    assert "&lt;script&gt;alert(1)" in markup


def test_a_dollar_sign_is_no_formula():
    assert r">$\frac{1}{2$</text>" in draw(title=r"$\frac{1}{2$")


def test_a_letter_that_the_machine_has_no_glyph_for_is_kept():
    assert ">\u732b</text>" in draw(title="\u732b")


def test_two_figures_share_no_id():
    ids = [set(re.findall(r'\bid="([^"]+)"', draw(key))) for key in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_its_size_is_left_to_the_page():
    head = draw().split(">")[0]
    assert "viewBox" in head
    assert not re.search(r"\b(width|height)=", head)


def test_many_marks_become_pixels_and_few_do_not():
    assert "data:image/png" not in draw(num_marks=MAX_VECTOR_MARKS)
    assert "data:image/png" in draw(num_marks=MAX_VECTOR_MARKS + 1)


def test_powers_are_plain_numbers():
    with chart("key", alt="", size=(4, 3)) as drawn:
        axes = drawn.axes[0]
        axes.set(xscale="log", xlim=(2e-4, 5e-3))
        mark_powers(axes.xaxis, low=2e-4, high=5e-3)
    labels = re.findall(r">([\d.e-]+)</text>", drawn.markup)
    assert {"0.0003", "0.001", "0.003"} <= set(labels)
    assert "mathdefault" not in drawn.markup


def test_integers_are_whole():
    with chart("key", alt="", size=(4, 3)) as drawn:
        drawn.axes[0].set_xlim(1, 3)
        mark_integers(drawn.axes[0].xaxis)
        assert all(place == int(place) for place in drawn.axes[0].get_xticks())


@pytest.fixture
def axes():
    return Figure().subplots()


def drawn(axes):
    """Every group of marks as (places and values, size)."""
    return [(c.get_offsets().tolist(), c.get_sizes()[0]) for c in axes.collections]


def test_marks_within_the_limits_stay_where_they_are(axes):
    mark_trials(axes, [(0, 0.5), (1, 0.6)], "complete", limits=(0.4, 0.7))
    assert drawn(axes) == [([[0, 0.5], [1, 0.6]], 16)]


def test_marks_beyond_the_limits_stand_at_the_edge(axes):
    mark_trials(axes, [(0, 0.1), (1, 0.6), (2, 9.0)], "complete", limits=(0.4, 0.7))
    places = [place for place, _ in drawn(axes)]
    assert places == [[[1, 0.6]], [[0, 0.4]], [[2, 0.7]]]


def test_the_legend_has_the_outcome_also_where_all_are_beyond(axes):
    mark_trials(axes, [(0, 0.1)], "pruned", limits=(0.4, 0.7))
    assert axes.get_legend_handles_labels()[1] == ["pruned"]


def test_no_trial_leaves_no_trace(axes):
    mark_trials(axes, [], "pruned", limits=(0.4, 0.7))
    assert drawn(axes) == []


def test_many_marks_are_smaller(axes):
    mark_trials(axes, [(i, 0.5) for i in range(CROWDED + 1)], "complete", limits=(0.4, 0.7))
    assert drawn(axes)[0][1] == 5


def test_limits_are_set_and_returned(axes):
    low, high = limit_values(axes, search(0.1, 0.92, 0.93, 0.94))
    assert axes.get_ylim() == (low, high)
    assert 0.8 < low < 0.92 < 0.94 < high
