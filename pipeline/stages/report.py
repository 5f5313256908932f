"""Stage report: data/split.json, results/ -> results/report/index.html, epochs.csv, search.csv.

The page that a person looks at: self-contained, works offline. `dvc plots` draws the tables.
Run: python -m pipeline report
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.database_addresses import sqlite_file
from pipeline.errors import PipelineError
from pipeline.files import write_whole
from pipeline.records.mirror.store import open_store, tracking_uri

if TYPE_CHECKING:
    from pipeline.records.mirror.store import Store
    from pipeline.trials.study import StudyRecord

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
    show_figures([study.search for study in results.studies], root=root)
    return page


def show_figures(studies: Sequence[StudyRecord], *, root: Path) -> None:
    """Puts the figures of studies beside their runs in MLflow, where it holds any of them.

    The page is whole without; if the store is away, that is said and `audit --repair` does it.

    Args:
        studies: With at least one complete trial each.
        root: The repository.
    """
    file = sqlite_file(tracking_uri(root))
    if file is not None and not file.exists():
        return  # Of a checkout that was pulled and not restored.
    try:
        store = open_store(root, create=False)
        for study in studies:
            _show(study, store)
    except PipelineError as error:
        logger.warning("MLflow has no figures yet, `audit --repair` puts them there: %s", error)


def _show(study: StudyRecord, store: Store) -> None:
    from pipeline.records.mirror.artifacts import log_texts
    from pipeline.report.figures import study_figures

    log_texts(
        store,
        dataset=study.dataset,
        study_uid=study.study_uid,
        texts={f"figures/{name}": text for name, text in study_figures(study).items()},
    )


def main() -> None:
    """Runs the stage on the files of the checkout."""
    run()
