"""Stage report: data/split.json, results/ -> results/report/index.html, epochs.csv, search.csv.

The page that a person looks at: self-contained, works offline. `dvc plots` draws the tables.
Run: python -m pipeline report
"""

import logging
from pathlib import Path

from pipeline.files import write_whole

logger = logging.getLogger(__name__)

PAGE = Path("results/report/index.html")


def run(*, root: Path = Path()) -> Path:
    """Writes the report of whatever `evaluate` has judged.

    Args:
        root: The folder that holds `data/` and `results/`.

    Returns:
        The page's path.

    Raises:
        StudyError: If a stage before has not written its results yet.
        DataIntegrityError: If a result is damaged, or results are of different runs.
    """
    from pipeline.report.inputs import read_results

    results = read_results(root)
    # After the refusals, which should not wait for matplotlib to load.
    from pipeline.report.page import render
    from pipeline.report.tables import write_tables

    page = root / PAGE
    text = render(results)
    with write_whole(page) as part:
        part.write_text(text, encoding="utf-8")
    write_tables(results, page.parent)
    logger.info("wrote %s (%.1f MB): open it in a browser", page, len(text.encode()) / 1e6)
    return page


def main() -> None:
    """Runs the stage on the files of the checkout."""
    run()
