"""How long a diagnosis may train."""

import pytest
from pydantic import ValidationError

from pipeline.search.sections import DiagnoseParams


@pytest.mark.parametrize(
    ("written", "budget", "share", "seconds"),
    [
        ("auto", 900.0, 5 / 6, 112.5),
        ("auto", 900.0, 1 / 10, 30.0),
        ("auto", None, 1.0, 30.0),
        ("2m", 900.0, 0.5, 120.0),
        ("none", 900.0, 0.5, None),
    ],
)
def test_auto_is_a_part_of_15_percent_of_the_budget(written, budget, share, seconds):
    params = DiagnoseParams(time=written)
    assert params.seconds(budget, share) == (pytest.approx(seconds) if seconds else None)


@pytest.mark.parametrize("written", ["never", 90, "0s", None])
def test_anything_else_is_refused(written):
    with pytest.raises(ValidationError, match="must be none, or a duration"):
        DiagnoseParams(time=written)
