"""Makes a version of a registered model from a model file, its evidence and its lineage."""

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files import sha256_file
from pipeline.records.chain import Chain, write_chain
from pipeline.records.lineage import NONE, installed_version
from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.dataset_inputs import dataset_inputs
from pipeline.records.mirror.projection import PARTS_OF_STUDY, now_ms
from pipeline.records.mirror.store import Store
from pipeline.records.model_registry.champion import Evidence
from pipeline.records.model_registry.registered_file import MODEL_FILE, ONNX_FILE, onnx_tags
from pipeline.records.model_registry.registered_models import MADE_IN
from pipeline.records.model_registry.served import serve_with_own_code
from pipeline.records.model_registry.version_texts import (
    version_description,
    version_metrics,
    version_tags,
)
from pipeline.split_record import SplitRecord
from pipeline.trials.confirmation import ConfirmationRecord
from pipeline.workspace import checkout_name

if TYPE_CHECKING:
    import keras
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from numpy.typing import NDArray

CARD_FILE = "MODEL_CARD.md"
REQUIREMENTS = ("tensorflow", "keras", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may be registered, with everything that belongs to it.

    Attributes:
        model: The loaded model: uint8 images, natural shape, to probabilities.
        model_file: The `.keras` file that it was loaded from; this very file is registered.
        evidence: What it showed on the confirmation part; all that it is chosen by.
        test: What it showed on the test part: its study's entry of `results/metrics.json`.
            Recorded, so that people can compare versions by it.
        lineage: `lineage.revision_tags` of when it was first registered.
        confirm: What `confirm` found out about its study.
        split: The data that it learned from.
        examples: A few raw training images, uint8, shape (k, h, w) or (k, h, w, 3).
        results: Folder `results/STUDY`; its files become artifacts.
        chain: Of hashes, from the raw images to the file; None of what an earlier release made.
        card: What a person should know of it, Markdown; it lies beside the model.
        onnx_copy: Returns the model as a file of ONNX, for answers without TensorFlow, or None;
            called where a version is made.
    """

    model: "keras.Model"
    model_file: Path
    evidence: Evidence
    test: Mapping[str, Mapping[str, float]]
    lineage: Mapping[str, str]
    confirm: ConfirmationRecord
    split: SplitRecord
    examples: "NDArray[np.uint8]"
    results: Path
    chain: Chain | None = None
    card: str = ""
    onnx_copy: Callable[[], bytes | None] = lambda: None


def log_version(
    store: Store, candidate: Candidate, name: str, *, restored_number: int | None = None
) -> "ModelVersion":
    """Logs a model under a run of its own and makes a version of it.

    Only for who holds the registry's lock: it takes any other such run for a dead one.

    Args:
        store: An open store, with the registered model in it.
        candidate: The model.
        name: The registered model's.
        restored_number: What the version was called before the registry was lost, >= 1. It is
            called so again, unless the registry has given that number to another one.
    """
    experiment = store.experiment(candidate.split.dataset)
    _close_stale(store, experiment)
    tags = {**version_tags(candidate), MADE_IN: checkout_name(store.root)}
    tags |= {"restored": "true"} if restored_number else {}
    onnx = candidate.onnx_copy()
    tags |= onnx_tags(onnx)
    with _run(store, experiment, candidate, tags) as run_id:
        model = _log_model(store, experiment, run_id=run_id, candidate=candidate, onnx=onnx)
        _log_beside(store, run_id, candidate)
        # Last, so that a version exists only when all that belongs to it does.
        version = _create_version(store, candidate, name, run_id=run_id, model=model, tags=tags)
        # MLflow counts by itself and takes no number back: those in between are used up.
        while int(version.version) < (restored_number or 0):
            store.client.delete_model_version(version.name, version.version)
            version = _create_version(store, candidate, name, run_id=run_id, model=model, tags=tags)
    return version


def _create_version(
    store: Store,
    candidate: Candidate,
    name: str,
    *,
    run_id: str,
    model: "LoggedModel",
    tags: Mapping[str, str],
) -> "ModelVersion":
    return store.client.create_model_version(
        name,
        # From `models:/ID` a local registry would look for MLflow's global store.
        source=f"models:/{model.model_id}" if store.is_server else model.artifact_location,
        run_id=run_id,
        model_id=model.model_id,
        tags=dict(tags),
        description=version_description(candidate),
    )


@contextmanager
def _run(
    store: Store, experiment: str, candidate: Candidate, tags: Mapping[str, str]
) -> Iterator[str]:
    study, winner = candidate.confirm.study, candidate.confirm.winner
    run = store.client.create_run(
        experiment,
        run_name=f"register-{study}",
        tags={"role": "register", MADE_IN: tags[MADE_IN]},
    )
    run_id = str(run.info.run_id)
    status = "FAILED"
    try:
        writer.log(
            store.client,
            run_id,
            params={name: str(value) for name, value in winner.hyperparameters.items()},
            tags=tags,
            metrics=writer.points(version_metrics(candidate.confirm), step=0, at_ms=now_ms()),
        )
        store.client.log_inputs(run_id, dataset_inputs(candidate.split, PARTS_OF_STUDY))
        yield run_id
        status = "FINISHED"
    finally:
        store.client.set_terminated(run_id, status)


def _close_stale(store: Store, experiment: str) -> None:
    # Whoever holds the registry's lock is the only one here that registers, but another checkout
    # may do so in the same experiment.
    here = checkout_name(store.root)
    for run in store.search_runs(experiment, "tags.role = 'register'"):
        is_own = not store.is_shared or run.data.tags.get(MADE_IN) == here
        if is_own and run.info.status == "RUNNING":
            store.client.set_terminated(run.info.run_id, "KILLED")


def _log_model(
    store: Store, experiment: str, *, run_id: str, candidate: Candidate, onnx: bytes | None
) -> "LoggedModel":
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    # Not mlflow.keras.log_model: that works on MLflow's global state, and would save the model
    # again, so that the registered file would not be the one that DVC tracks. No signature either:
    # none can say that pixels are taken as well as files in base64.
    logged = store.client.create_logged_model(
        experiment, name="model", source_run_id=run_id, model_type="classifier"
    )
    store.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        described = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
        )
        _keras_flavor().save_model(
            candidate.model,
            str(path),
            mlflow_model=described,
            # Without this a process of 20 s would find out what TensorFlow needs.
            pip_requirements=_requirements(),
            metadata=_metadata(candidate),
        )
        shutil.copyfile(candidate.model_file, path / MODEL_FILE)
        if onnx is not None:
            (path / ONNX_FILE).write_bytes(onnx)
        serve_with_own_code(described, path)
        write_chain(path, candidate.chain)
        (path / CARD_FILE).write_text(candidate.card, encoding="utf-8")
        store.client.log_model_artifacts(logged.model_id, str(path))
    return store.client.finalize_logged_model(logged.model_id, "READY")


def _keras_flavor() -> Any:
    with warnings.catch_warnings():
        # MLflow 3.17 warns of its own type hints when this is imported; no user can act on it.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
        import mlflow.keras
        import mlflow.pyfunc
    # It warns where there is no signature; see above why there is none.
    logging.getLogger("mlflow.keras.save").setLevel(logging.ERROR)
    return mlflow.keras


def _requirements() -> list[str]:
    versions = {name: installed_version(name) for name in REQUIREMENTS}
    return [f"{name}=={text}" for name, text in versions.items() if text != NONE]


def _metadata(candidate: Candidate) -> dict[str, object]:
    split = candidate.split
    return {
        "dataset": split.dataset,
        "class_names": list(split.class_names),
        "image_shape": list(split.image_shape),
        # What was black and white in gray of more than 8 bits; earlier releases had the format's.
        "value_range": None if split.value_range is None else list(split.value_range),
        "study": candidate.confirm.study,
        "weights_sha256": candidate.evidence.weights_sha256,
        "model_sha256": sha256_file(candidate.model_file),
    }


def _log_beside(store: Store, run_id: str, candidate: Candidate) -> None:
    # As files: mlflow.keras cannot save an input example (3.17.2 raises FileNotFoundError).
    payload = {"inputs": candidate.examples.tolist()}
    store.client.log_dict(run_id, payload, "example/invocations.json")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        np.save(file, candidate.examples)
        store.client.log_artifact(run_id, str(file), "example")
    store.client.log_artifacts(run_id, str(candidate.results), "results")
