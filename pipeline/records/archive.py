"""Which studies of the store no stage opens any more, as they are named.

A study whose identity changed stays in the store as `NAME-HASH`, since its parameters may come back
(`studies.open_study`). Studies of other data sets stay too, and so does what this project, or this
checkout of it, did not make.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.records.studies import DRAFT

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

# Of a study that was killed before it got its identity.
NO_IDENTITY = "unfinished"
# What every data set was called before `fetch.name`, when studies did not say theirs.
OLD_DATASETS = ("fashion_mnist", "cifar10", "digits", "folder", "npz")
ARCHIVED = re.compile(rf"(?P<base>.+)-(?P<hash>[0-9a-f]{{8}}|{NO_IDENTITY[:8]})")

Reason = Literal["archived", "not in params.yaml", "half built"]


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A study of the store that this project made.

    Attributes:
        name: The study's name in Optuna's store.
        base_name: What it is called, or was, while it is the current one: `DATASET-STUDY`.
        old: Why no stage opens it; None if it is the current one, of this data set or of another.
        uid: Its own; empty if it was killed before it got one.
        is_own: Whether it was made here, not by another checkout that uses the same store.
    """

    name: str
    base_name: str
    old: Reason | None
    uid: str
    is_own: bool


def stored_studies(
    storage: BaseStorage,
    *,
    dataset: str,
    studies: Sequence[str],
    wanted: Collection[str] = (),
    checkout: str | None = None,
) -> list[StoredStudy]:
    """Returns the studies of this project that the store holds, by name.

    Args:
        storage: The study store.
        dataset: Name of the present data set.
        studies: Names below `studies` in params.yaml.
        wanted: Identities that are not old, whatever their study is called: a search that is killed
            while it brings a study back leaves it with its hash.
        checkout: From `storage.sharing_checkout`: this checkout, if others use the same store.
    """
    import optuna

    found = []
    for name in sorted(optuna.get_all_study_names(storage)):
        attrs = optuna.load_study(study_name=name, storage=storage).user_attrs
        identity = attrs.get("identity")
        known = classified(name, identity, attrs.get("dataset"), dataset=dataset, studies=studies)
        if known is not None:
            base_name, old = known
            stored = StoredStudy(
                name=name,
                base_name=base_name,
                old=None if old == "archived" and identity in wanted else old,
                uid=attrs.get("study_uid", ""),
                is_own=checkout in (None, attrs.get("made_in")),
            )
            found.append(stored)
    return found


def classified(
    name: str,
    identity: str | None,
    made_of: str | None = None,
    *,
    dataset: str,
    studies: Sequence[str],
) -> tuple[str, Reason | None] | None:
    """Says what a study is by its name: its `base_name` and why it is old, or None.

    Args:
        name: The study's name in Optuna's store.
        identity: Hash of what makes its trials comparable, if it has one.
        made_of: Its data set, where that is known: `roses-big-mine` is `big-mine` of `roses`, or
            `mine` of `roses-big`. Of studies of earlier releases the name says it.
        dataset: Name of the present data set.
        studies: Names below `studies` in params.yaml.

    Returns:
        As the attributes of `StoredStudy`; None of a study that this project did not make.

    >>> classified("digits-mine-0a1b2c3d", "0a1b2c3d" * 8, dataset="digits", studies=["mine"])
    ('digits-mine', 'archived')
    >>> classified("digits-other", "0a1b2c3d" * 8, dataset="digits", studies=["mine"])
    ('digits-other', 'not in params.yaml')
    >>> classified("digits-mine", "0a1b2c3d" * 8, dataset="digits", studies=["mine"])
    ('digits-mine', None)
    >>> classified("roses-mine-0a1b2c3d", "0a1b2c3d" * 8, "roses", dataset="digits", studies=[])
    ('roses-mine', None)
    >>> classified("my own", None, dataset="digits", studies=["mine"])
    >>> classified("roses-big-mine", "0a" * 32, "roses-big", dataset="roses", studies=["mine"])
    ('roses-big-mine', None)
    """
    if name in {f"{dataset}-{study}" for study in studies}:
        return name, None
    aside = ARCHIVED.fullmatch(name.removesuffix(DRAFT))
    if aside is not None and (identity or NO_IDENTITY).startswith(aside["hash"]):
        if name.endswith(DRAFT):
            return aside["base"], "half built"
        # It may be what is left of a current study of its data set, killed while it was renamed.
        return aside["base"], "archived" if made_of in (None, dataset) else None
    if identity is None:
        return None
    if made_of is None:
        made_of = next((old for old in OLD_DATASETS if name.startswith(f"{old}-")), None)
    return name, "not in params.yaml" if made_of == dataset else None


def count_trials(storage: BaseStorage, name: str) -> int:
    """Returns how many trials a study holds, whatever their state."""
    import optuna

    return len(optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False))


def remove_study(storage: BaseStorage, name: str) -> None:
    """Removes a study with its trials for good.

    Only for who holds the lock of the study that has its `base_name`.
    """
    import optuna

    optuna.delete_study(study_name=name, storage=storage)
