"""The aliases of a registered model's versions."""

from typing import TYPE_CHECKING, Final

from pipeline.records.mirror.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
"""Held the alias `champion` before the one that holds it now."""

ROLLED_BACK: Final = "rolled_back"
"""Tag of a version that a person took the alias `champion` from."""
CHALLENGER: Final = "challenger"
"""Was compared with the champion last, and not shown to be better."""


def version_of(store: Store, name: str, alias: str) -> "ModelVersion | None":
    """Returns the version that has an alias; None if none has.

    Raises:
        MlflowException: If there is no registered model of this name.
    """
    aliases = store.client.get_registered_model(name).aliases
    if alias not in aliases:
        return None
    return store.client.get_model_version(name, str(aliases[alias]))


def move_champion(
    store: Store, name: str, version: "ModelVersion", *, before: "ModelVersion | None"
) -> None:
    """Gives the alias `champion` to a version, and `previous` to the one that had it.

    Args:
        store: An open store, whose registry's lock is held.
        name: The registered model's.
        version: The version; if it was `challenger`, it is that no longer.
        before: The champion until now, or None.
    """
    # In this order: after a crash between the two nobody is without a champion.
    if before is not None:
        store.client.set_registered_model_alias(name, PREVIOUS, str(before.version))
    store.client.set_registered_model_alias(name, CHAMPION, str(version.version))
    if ROLLED_BACK in version.tags:
        store.client.delete_model_version_tag(name, str(version.version), ROLLED_BACK)
    challenger = version_of(store, name, CHALLENGER)
    if challenger is not None and challenger.version == version.version:
        store.client.delete_registered_model_alias(name, CHALLENGER)
