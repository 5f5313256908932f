"""A study's figures as files of their own, for those who look at its run in MLflow."""

import re

from pipeline.report.search import history, learning_curves
from pipeline.report.summary import summarize_search
from pipeline.trials.study import StudyRecord

# The page gives its figures these; MLflow shows a file on whatever colour its own page has.
_ROOT = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
_STYLE = 'style="color: #212529; background: #ffffff" '
# Pixels; without a size MLflow shows nothing.
_SIZE = 'width="940" height="580" '


def study_figures(record: StudyRecord) -> dict[str, str]:
    """Returns figures as texts of SVG files by name; equal records give equal texts.

    Args:
        record: The study, with at least one complete trial.
    """
    summary = summarize_search(record)
    drawn = {
        "history.svg": history("history", summary),
        "curves.svg": learning_curves("curves", summary),
    }
    return {name: _file(str(markup)) for name, markup in drawn.items()}


def _file(markup: str) -> str:
    return re.sub(r"^<svg ", _ROOT + _STYLE + _SIZE, markup, count=1)
