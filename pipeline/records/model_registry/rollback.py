"""Gives the alias `champion` back to the version before, and marks the one it was taken from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.records.mirror.store import Store, locked
from pipeline.records.model_registry.aliases import CHAMPION, PREVIOUS, ROLLED_BACK, version_of
from pipeline.records.model_registry.registered_models import ready_versions

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True, kw_only=True)
class RolledBack:
    """What a rollback did.

    Attributes:
        champion: Number of the version that has the alias now.
        former: Number of the one that had it until then; None if that is gone.
    """

    champion: str
    former: str | None


def roll_back(store: Store, name: str) -> RolledBack:
    """Exchanges the aliases `champion` and `previous` of a registered model.

    Killed at any moment it leaves a champion, and called again it ends: what was being taken back
    is then as before. A version that the alias was taken from carries a tag, until it is given back
    to it.

    Args:
        store: An open store.
        name: The registered model's.

    Raises:
        ConfigError: If there is no such model, or no other version that was champion before.
    """
    from mlflow.exceptions import MlflowException

    with locked(store.root, "registry"):
        try:
            former, champion = (version_of(store, name, alias) for alias in (CHAMPION, PREVIOUS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise ConfigError(f"There is no registered model {name}. Run: dvc repro") from None
        if champion is not None and former is not None and former.version == champion.version:
            # A rollback that was killed in the middle: it is finished.
            former = _rolled_back(store, name, besides=str(champion.version))
        if champion is None or (former is None and version_of(store, name, CHAMPION) is not None):
            raise ConfigError(
                f"No other version of {name} was champion before: there is none to go back to."
            )
        _exchange(store, name, champion, former)
    number = None if former is None else str(former.version)
    return RolledBack(champion=str(champion.version), former=number)


def _exchange(
    store: Store, name: str, champion: "ModelVersion", former: "ModelVersion | None"
) -> None:
    now, client = str(champion.version), store.client
    is_taken_back = ROLLED_BACK in champion.tags
    if former is not None and is_taken_back:
        # Before the other alias: killed between the two, both are of who lacks the tag.
        client.set_registered_model_alias(name, PREVIOUS, str(former.version))
    elif former is not None:
        client.set_model_version_tag(name, former.version, ROLLED_BACK, "true")
    client.set_registered_model_alias(name, CHAMPION, now)
    if is_taken_back:
        client.delete_model_version_tag(name, now, ROLLED_BACK)
    if former is None:
        client.delete_registered_model_alias(name, PREVIOUS)
    else:
        client.set_registered_model_alias(name, PREVIOUS, str(former.version))


def _rolled_back(store: Store, name: str, *, besides: str) -> "ModelVersion | None":
    """Returns the newest version that a person took the alias from; None if there is none."""
    found = [
        version
        for version in ready_versions(store, name)
        if ROLLED_BACK in version.tags and str(version.version) != besides
    ]
    return max(found, key=lambda version: int(version.version), default=None)
