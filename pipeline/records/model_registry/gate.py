"""Whether a version becomes champion: its file against the champion's, on the same raw images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from pipeline.errors import DataIntegrityError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.mirror.store import Store
from pipeline.records.model_registry.aliases import ROLLED_BACK
from pipeline.records.model_registry.champion import Decision, decide
from pipeline.records.model_registry.registered_file import REGISTRY, registered_file
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
MOVES: Final = "comparison.won"
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

    What came of a comparison is kept before the alias moves: asked again for the same two on the
    same data, the answer is that of before, and it counts as one comparison.

    Args:
        store: An open store, whose registry's lock is held.
        candidate: What the version was made of.
        version: The version.
        champion: The champion until now, or None.
        compare: Runs both on the confirmation images of this checkout.

    Raises:
        ConfigError: If the champion's file cannot be fetched, such as from a server that is away.
    """
    if champion is None:
        return Decision(moves=True, reason="there was no champion yet")
    if champion.version == version.version:
        return Decision(moves=False, reason="it is the champion already")
    if ROLLED_BACK in version.tags:
        reason = "somebody rolled back from it"
        return Decision(moves=False, reason=reason, leaves_champion=True)
    own, number = candidate.evidence.data_digest, str(champion.version)
    pair = f"{champion.tags.get(WEIGHTS)} on {own}"
    if version.tags.get(COMPARED) == pair:
        return _as_before(version.tags)
    try:
        theirs = _load(store, version.name, number)
    except DataIntegrityError as error:
        reason = (
            f"version {number}, the champion, cannot be compared with: {error} Where it is no "
            "longer wanted, delete that version"
        )
        return Decision(moves=False, reason=reason, is_challenger=True)
    found = compare(candidate.model, theirs, candidate.evidence.objective)
    decision = decide(
        found,
        number=_count(store, version.name, own),
        version=number,
        measure=OBJECTIVES[candidate.evidence.objective].measure,
        is_other_data=champion.tags.get(DATA_DIGEST) != own,
    )
    moves = str(decision.moves).lower()
    for key, text in ((OUTCOME, decision.reason), (MOVES, moves), (COMPARED, pair)):
        store.client.set_model_version_tag(version.name, version.version, key, text)
    return decision


def _as_before(tags: Mapping[str, str]) -> Decision:
    moves = tags.get(MOVES) == "true"
    return Decision(
        moves=moves,
        reason=f"{tags.get(OUTCOME)}, as was found before",
        is_challenger=not moves,
        leaves_champion=not moves,
    )


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
