"""Whether a version becomes champion: its file against the champion's, on the same raw images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.mirror.store import Store
from pipeline.records.model_registry.champion import Decision, decide
from pipeline.records.model_registry.registered_file import REGISTRY, registered_file
from pipeline.records.model_registry.rollback import ROLLED_BACK
from pipeline.records.model_registry.versions import Candidate

if TYPE_CHECKING:
    import keras
    from mlflow.entities.model_registry import ModelVersion

    from pipeline.evaluation.paired import Superiority

Compare = Callable[["keras.Model", "keras.Model", str], "Superiority"]
"""Of a challenger's model, the champion's, and an objective: whether the challenger is better."""

WEIGHTS: Final = "weights_sha256"
DATA_DIGEST: Final = "data_digest"
# Of a version: what it was compared with last, on which data, and what came out.
COMPARED: Final = "compared_with"
OUTCOME: Final = "comparison"
# Of a registered model, before the digest of the data: how many comparisons there were.
NUM_COMPARISONS: Final = "comparisons."


def gate(
    store: Store,
    candidate: Candidate,
    version: ModelVersion,
    champion: ModelVersion | None,
    compare: Compare,
) -> Decision:
    """Decides whether a version becomes champion.

    A comparison is counted before its outcome is known to anybody, since each makes a false one
    more likely; asked again for the same two on the same data, the answer is that of before.

    Args:
        store: An open store, whose registry's lock is held.
        candidate: What the version was made of.
        version: The version.
        champion: The champion until now, or None.
        compare: Runs both on the confirmation images of this checkout.
    """
    if champion is None:
        return Decision(moves=True, reason="there was no champion yet")
    if champion.version == version.version:
        return Decision(moves=False, reason="it is the champion already")
    if ROLLED_BACK in version.tags:
        return Decision(moves=False, reason="somebody rolled back from it")
    own, number = candidate.evidence.data_digest, str(champion.version)
    pair = f"{champion.tags.get(WEIGHTS)} on {own}"
    if version.tags.get(COMPARED) == pair:
        reason = f"{version.tags.get(OUTCOME)}, as was found before"
        return Decision(moves=False, reason=reason, is_challenger=True)
    try:
        theirs = _load(store, version.name, number)
    except (ConfigError, DataIntegrityError) as error:
        return Decision(
            moves=False,
            reason=f"version {number}, the champion, cannot be compared with: {error} Where it is "
            "no longer wanted, delete that version",
            is_challenger=True,
        )
    num_comparisons = _count(store, version.name, own)
    found = compare(candidate.model, theirs, candidate.evidence.objective)
    decision = decide(
        found,
        number=num_comparisons,
        version=number,
        measure=OBJECTIVES[candidate.evidence.objective].measure,
        is_other_data=champion.tags.get(DATA_DIGEST) != own,
    )
    if not decision.moves:
        for key, text in ((OUTCOME, decision.reason), (COMPARED, pair)):
            store.client.set_model_version_tag(version.name, version.version, key, text)
    return decision


def _load(store: Store, name: str, number: str) -> keras.Model:
    from pipeline.training.export import load_exported

    with registered_file(store.root, f"{REGISTRY}{name}/{number}", asked_by="champion") as file:
        return load_exported(file.path)


def _count(store: Store, name: str, data_digest: str) -> int:
    """Counts a comparison on some data; returns how many there have been with it."""
    key = f"{NUM_COMPARISONS}{data_digest}"
    number = int(store.client.get_registered_model(name).tags.get(key, 0)) + 1
    store.client.set_registered_model_tag(name, key, str(number))
    return number
