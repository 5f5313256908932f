"""Registers a model as the stage does, on the confirmation images of the store's own checkout."""

from functools import partial

from pipeline.records.model_registry import registration
from pipeline.studies.comparison import compare


def register(store, candidate, **told):
    """Returns what was registered."""
    return registration.register(
        store, candidate, compare=partial(compare, root=store.root), **told
    )
