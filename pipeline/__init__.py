"""Hyperparameter search for transfer-learned image classifiers: DVC runs it, MLflow records it.

For notebooks: `load_study`, `trials_frame` and `load_champion`, which are imported when they are
asked for, since every worker imports this.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.studies.reading import load_champion, load_study, trials_frame

__all__ = ["load_champion", "load_study", "trials_frame"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.studies import reading

    return getattr(reading, name)
