"""Sections of `params.yaml` for searches of tests and benchmarks."""

from pathlib import Path
from typing import Any

from pipeline.config import read_document
from pipeline.search.sections import SearchParams

PARAMS = Path(__file__).parents[1] / "params.yaml"


def search_params(*, min_epochs: int = 1, **changes: Any) -> SearchParams:
    """Returns the section `search` of the project's own params.yaml with other values.

    Args:
        min_epochs: Epochs before the pruner may stop a trial for the first time, >= 1.
        changes: By key, such as `trials=4`.
    """
    pruner = {"name": "median", "startup_trials": 1, "warmup_epochs": min_epochs - 1}
    section = read_document(PARAMS)["search"]
    written = {**section, "trials": 10, "rungs": 1, "pruner": pruner, **changes}
    return SearchParams.model_validate(written)
