"""Trainings that the sides of `benchmarks.transfer` share: networks, few images, two at a time.

A side is either a trial, trained by the function that trains all of a search's trials, or a convnet
from scratch, trained by the same loop on the pixels. Both end as one model from raw images to
probabilities, which alone is measured on the test images.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.transfer_networks import NETWORKS
from pipeline.hyperparameter import Value
from pipeline.processes import num_cores
from pipeline.seeds import derive_seed
from pipeline.training.data import DataReference
from pipeline.training.devices import configure_tensorflow
from pipeline.training.messages import EpochRecord, TrialSpec

if TYPE_CHECKING:
    import keras

    from pipeline.training.batches import TrainingData
    from pipeline.training.data import CutData

PIXELS = "pixels"


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A base's features of which few images of the train part are trained on.

    More images of the same seed contain the fewer. Mean and variance, by which a head scales its
    features, are those of the chosen images: of the others nothing is known.

    Attributes:
        reference: To the features of all images.
        num_per_class: Images of each class, >= 1; at most what there is.
        seed: Of the choice.
        min_rows: An epoch goes over the images as often as it takes to train on so many, so that
            few images get as many steps in as many epochs.
    """

    reference: DataReference
    num_per_class: tuple[int, ...]
    seed: int
    min_rows: int

    def load_cut(self, cut: str, *, judge: str | None) -> CutData:
        data = self.reference.load_cut(cut, judge=judge)
        training = data.training.without_views()
        chosen = self._chosen(training.labels, training.train)
        mean, variance = _moments(training, chosen)
        repeated = np.tile(chosen, -(-self.min_rows // len(chosen)))
        return replace(
            data, training=replace(training, train=repeated), mean=mean, variance=variance
        )

    def phase_2_starts(self, hyperparameters: Mapping[str, Value]) -> Sequence[str]:
        return self.reference.phase_2_starts(hyperparameters)

    @property
    def base_key(self) -> str:
        return self.reference.base_key

    def load_base(self) -> keras.Model:
        return self.reference.load_base()

    def base_files(self) -> Mapping[str, bytes]:
        return self.reference.base_files()

    def _chosen(self, labels: NDArray[Any], train: NDArray[Any]) -> NDArray[Any]:
        chosen = []
        for label, count in enumerate(self.num_per_class):
            rng = np.random.default_rng(derive_seed(self.seed, "subset", label))
            chosen.append(rng.permutation(train[labels[train] == label])[:count])
        return np.sort(np.concatenate(chosen))


def _moments(data: TrainingData, rows: NDArray[Any]) -> tuple[list[float], list[float]]:
    from pipeline.features.arrays import Moments

    moments = Moments(data.features.shape[-1])
    for batch in np.array_split(rows, -(-len(rows) // 1000)):
        moments.add(data.features[batch] + data.centre)
    return moments.mean.tolist(), moments.variance.tolist()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training, and what its model is measured on.

    Attributes:
        key: Names it among the results.
        data: What to train and to choose the epoch on.
        hyperparameters: Every active one.
        epochs: How many.
        seed: Of weights, batches and dropout.
        test_file: The npz of raw test images; read when the training is over.
        network: Of `NETWORKS`, to be trained from scratch; None for a trial's head.
    """

    key: str
    data: Subset
    hyperparameters: Mapping[str, Value]
    epochs: int
    seed: int
    test_file: Path
    network: str | None = None


def run_job(job: Job) -> dict[str, Any]:
    """Trains, and measures the model that a user would deploy; returns figures for JSON."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = _run_trial if job.network is None else _run_network
        trained, cut, figures = run(job, Path(folder) / "trained.keras")
        figures["seconds"] = time.perf_counter() - start
        hits, n = test_hits(deployed([trained], job.data.reference, cut), job.test_file)
    return {**figures, "test_accuracy": hits / n, "n": n}


def _run_trial(job: Job, model_file: Path) -> tuple[keras.Model, str, dict[str, Any]]:
    from pipeline.training.export import load_exported
    from pipeline.training.worker import run_trial

    steps = _Counted()
    spec = TrialSpec(
        uid=job.key,
        hyperparameters=job.hyperparameters,
        seed=job.seed,
        epochs=job.epochs,
        model_file=str(model_file),
    )
    result = run_trial(spec, job.data, steps)
    figures = {
        "val_accuracy": result.metrics["val_accuracy"],
        "best_epoch": result.best_epoch,
        "epochs": steps.epochs,
        "steps": steps.epochs * int(result.notes["steps_per_epoch"]),
        "num_parameters": result.num_parameters,
        "starts_from": result.starts_from,
    }
    return load_exported(model_file), result.starts_from, figures


def _run_network(job: Job, _: Path) -> tuple[keras.Model, str, dict[str, Any]]:
    import keras

    from pipeline.training.fit import train
    from pipeline.training.phases import whole

    keras.backend.clear_session()
    cut_data = job.data.load_cut(PIXELS, judge=None)
    build, data = NETWORKS[str(job.network)], cut_data.training
    model = build(cut_data.shape, data.num_classes, seed=job.seed)
    fit = train(
        model,
        data,
        job.hyperparameters,
        phase=whole(job.epochs),
        seed=job.seed,
        objective="val_accuracy",
        report=_Counted(),
    )
    if fit.best is None:
        raise RuntimeError(f"{job.key} diverged in its first epoch.")
    figures = {
        "val_accuracy": fit.best.metrics["val_accuracy"],
        "best_epoch": fit.best.epoch,
        "epochs": fit.num_epochs,
        "steps": fit.num_epochs * int(fit.notes["steps_per_epoch"]),
        "num_parameters": model.count_params(),
    }
    return model, PIXELS, figures


class _Counted:
    """Stops nothing; counts the epochs."""

    def __init__(self) -> None:
        self.epochs = 0

    def __call__(self, record: EpochRecord) -> bool:
        self.epochs += 1
        return False


def deployed(trained: Sequence[keras.Model], reference: DataReference, cut: str) -> keras.Model:
    """Returns raw images to probabilities, as the stage `confirm` exports it.

    Args:
        trained: Features of the cut to probabilities; those of several are averaged.
        reference: To the features.
        cut: What `trained` starts from.
    """
    from pipeline.bases.table import NO_BASE
    from pipeline.features.manifest import read_manifest
    from pipeline.training.export import Member, join

    manifest = read_manifest(Path(reference.features))
    return join(
        [Member(trained=model, cut=cut) for model in trained],
        image_shape=tuple(manifest.image_shape),
        image_size=manifest.image_size,
        base=None if manifest.base == NO_BASE else reference.load_base(),
    )


def test_hits(model: keras.Model, test_file: Path) -> tuple[int, int]:
    """Returns how many raw test images a model classifies rightly, and how many there are."""
    from pipeline.training.export import predict_probabilities

    with np.load(test_file) as archive:
        images, labels = archive["images"], archive["labels"]
    predicted = predict_probabilities(model, images).argmax(axis=1)
    return int((predicted == labels).sum()), len(labels)


def run_jobs(jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Trains as many at once as there are cores, with one TensorFlow thread each.

    Yields:
        Each job with its figures, as soon as it is done.
    """
    # A process for each, since TensorFlow never gives all its memory back. A process pool with
    # `max_tasks_per_child` would do the same, but in Python 3.11 it stops for ever once its first
    # processes have had their number of tasks.
    pool = ThreadPoolExecutor(num_cores())
    try:
        futures = {pool.submit(in_process, _run_alone, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _run_alone(job: Job) -> dict[str, Any]:
    configure_tensorflow(num_threads=1)
    return run_job(job)


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process: TensorFlow's threads are set once in each."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
