"""What the cache of frozen features saves: each trial beside the same trial without it.

1. A frozen trial: from the cached features of its cut, and with the base run over every image in
   every epoch, as `fit` on the whole model does. What `embed` took, once for all trials of a study,
   stands beside it.
2. Phase 2 of a trial: from the cached features of the lower cut, and through the whole graph from
   the images on. Both train the same layers from the same weights on the same batches, so that
   their losses are the same but for the rounding of the cache to float16.

Images are scikit-learn's digits, each many times with another noise: what they show costs the same
time as any. EfficientNet-Lite0. Each measurement is a process of its own with one TensorFlow thread
like a trial's worker; `embed` has all cores. On a busy machine the seconds of CPU, which stand in
brackets, tell more than those of the clock.

Run: python -m benchmarks.transfer_speed [--images 10000] [--epochs 12] [--image-size 64]
"""

import argparse
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bases.cuts import PooledCut
from pipeline.config import read_document
from pipeline.features.params import EmbedParams
from pipeline.processes import num_cores
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.batches import TrainingData
from pipeline.training.data import DataReference
from pipeline.training.devices import configure_tensorflow
from pipeline.training.messages import EpochRecord, Report, TrialSpec
from pipeline.training.phases import phase_1, phase_2, whole
from pipeline.training.worker import run_trial

BASE = "efficientnet_lite0"
LOWER, CUT, TOP = "block7_add", "block10_add", "avg_pool"
VAL_SHARE = 0.1
ROOT = Path(__file__).parents[1]


def write_images(file: Path, num_images: int) -> None:
    """Writes a train.npz of noisy digits, 8x8 gray, with its parts."""
    from sklearn.datasets import load_digits

    digits, rng = load_digits(), np.random.default_rng(0)
    chosen = rng.integers(0, len(digits.target), num_images)
    noisy = digits.images[chosen] * 15 + rng.normal(0, 20, (num_images, 8, 8))
    val = int(VAL_SHARE * num_images)
    np.savez(
        file,
        images=np.clip(noisy, 0, 255).astype(np.uint8),
        labels=digits.target[chosen].astype(np.int64),
        train=np.arange(2 * val, num_images),
        val=np.arange(val),
        confirmation=np.arange(val, 2 * val),
    )


def specify(cut: str, epochs: int, **changes: Any) -> TrialSpec:
    """Returns a trial of params.yaml's defaults that runs for all of its epochs."""
    defaults = {**read_document(ROOT / "params.yaml")["defaults"], "early_stopping": "none"}
    values = {**defaults, "cut": cut, "units": 256, **changes}
    return TrialSpec(
        uid="benchmark",
        hyperparameters=completed({}, SearchSpace({}, values)),
        seed=1,
        epochs=epochs,
    )


def head_of(spec: TrialSpec, reference: DataReference):
    """Builds the trial's head, with the weights that its worker would give it."""
    from pipeline.training.head import build_head

    cut_data = reference.load_cut(str(spec.hyperparameters["cut"]), judge=None)
    return build_head(
        cut_data.shape,
        cut_data.training.num_classes,
        spec.hyperparameters,
        mean=cut_data.mean,
        variance=cut_data.variance,
        seed=spec.seed,
        part_sizes=cut_data.part_sizes,
    )


def image_data(reference: DataReference) -> TrainingData:
    """Returns the images themselves as what is trained on."""
    with np.load(reference.train_file) as archive:
        arrays = {name: archive[name] for name in ("images", "labels", "train", "val")}
    classes = int(arrays["labels"].max()) + 1
    return TrainingData(features=arrays.pop("images"), num_classes=classes, **arrays)


def whole_base(
    reference: DataReference, data: TrainingData, feed: Sequence[PooledCut], trained: list[str]
):
    """Returns images -> a cut's features, with the named layers trainable and no other."""
    import keras

    from pipeline.bases.graph import rebuild, truncate
    from pipeline.bases.table import preprocessing
    from pipeline.features.joined_cuts import joined

    base = reference.load_base()
    front = preprocessing(data.features.shape[1:], base.input.shape[1])

    def thawed(layer):
        return type(layer).from_config({**layer.get_config(), "trainable": True})

    layers = [part.layer for part in feed]
    outputs = keras.tree.flatten(rebuild(truncate(base, layers), front.output, clone=thawed))
    features = joined(dict(zip(layers, outputs, strict=True)), feed, prefix="cut")
    model = keras.Model(front.input, features)
    for layer in model.layers:
        layer.trainable = layer.name in trained
    return model


def frozen_without_cache(spec: TrialSpec, reference: DataReference, *, report: Report) -> None:
    """Trains the head while the base runs over every image in every epoch."""
    from pipeline.training.fine_tuned import FineTuned
    from pipeline.training.fit import train

    data = image_data(reference)
    cut = str(spec.hyperparameters["cut"])
    below = whole_base(reference, data, reference.load_cut(cut, judge=None).feed, [])
    train(
        FineTuned(below, head_of(spec, reference)),
        data,
        spec.hyperparameters,
        phase=whole(spec.epochs),
        seed=spec.seed,
        objective=spec.objective,
        report=report,
    )


def whole_graph_phase_2(spec: TrialSpec, reference: DataReference, *, report: Report) -> None:
    """Trains phase 1 from the cache, and phase 2 through the whole graph; reports phase 2."""
    from pipeline.training.fine_tuned import FineTuned
    from pipeline.training.fit import train
    from pipeline.training.segments import cut_segment, tunable_layers

    values, cut = spec.hyperparameters, str(spec.hyperparameters["cut"])
    shared = {"seed": spec.seed, "objective": spec.objective}
    head, cut_data = head_of(spec, reference), reference.load_cut(cut, judge=None)
    first = phase_1(values, spec.epochs)
    fit = train(head, cut_data.training, values, phase=first, report=lambda _: False, **shared)
    second = phase_2(
        values,
        spec.epochs,
        first_epoch=fit.num_epochs,
        last_learning_rate=fit.learning_rate,
    )
    (lower,) = reference.phase_2_starts(values)
    segment = cut_segment(reference.load_base(), lower, cut_data.feed)
    names = [layer.name for layer in tunable_layers(segment)]
    data = image_data(reference)
    model = FineTuned(whole_base(reference, data, cut_data.feed, names), head)
    train(model, data, values, phase=second, report=report, **shared)


def cached_trial(spec: TrialSpec, reference: DataReference, *, report: Report) -> None:
    """Trains as a worker does."""
    run_trial(spec, reference, report)


Way = Callable[..., None]


def measure(
    way: Way, spec: TrialSpec, reference: DataReference
) -> tuple[float, float, list[EpochRecord]]:
    """Returns seconds of the clock and of CPU, and every epoch's record."""
    configure_tensorflow(num_threads=1)
    records: list[EpochRecord] = []

    def report(record: EpochRecord) -> bool:
        records.append(record)
        return False

    start, cpu_start = time.perf_counter(), time.process_time()
    way(spec, reference, report=report)
    return time.perf_counter() - start, time.process_time() - cpu_start, records


def embed(folder: Path, image_size: int) -> tuple[float, float]:
    """Runs the stage; returns its seconds of the clock and of CPU."""
    from pipeline.stages import embed as stage

    configure_tensorflow(num_threads=num_cores())
    base = {"image_size": image_size, "cuts": [LOWER, CUT, TOP]}
    params = {"bases": {BASE: base}, "pixels_size": 64, "batch_size": 256, "max_bytes": 10**11}
    start, cpu_start = time.perf_counter(), time.process_time()
    stage.run(
        EmbedParams.model_validate(params),
        train_file=folder / "train.npz",
        features=folder / "features",
        store=folder / "store",
    )
    return time.perf_counter() - start, time.process_time() - cpu_start


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process: TensorFlow's threads are set once in each."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def compare_frozen(reference: DataReference, epochs: int) -> None:
    """Prints both ways of a frozen trial at a cut and at the top."""
    for cut in (CUT, TOP):
        spec = specify(cut, epochs)
        found = {
            way.__name__: in_process(measure, way, spec, reference)
            for way in (cached_trial, frozen_without_cache)
        }
        for name, (wall, cpu, records) in found.items():
            last = records[-1].metrics
            print(
                f"  {cut:<12} {name:<21} {wall:7.1f} s a trial ({cpu:7.1f} of CPU), "
                f"last loss {last['loss']:.4f}, val_accuracy {last['val_accuracy']:.4f}",
                flush=True,
            )
        (wall, cpu, _), (slow_wall, slow_cpu, _) = found.values()
        print(f"  {cut:<12} times faster: {slow_wall / wall:.1f} ({slow_cpu / cpu:.1f} by CPU)")


def compare_phase_2(reference: DataReference, epochs: int) -> None:
    """Prints both ways of phase 2, epoch by epoch."""
    spec = specify(CUT, epochs, unfreeze=1, learning_rate_ratio=0.3, fine_tuning_share=0.5)
    _, _, cached = in_process(measure, cached_trial, spec, reference)
    _, _, graph = in_process(measure, whole_graph_phase_2, spec, reference)
    second = [record.metrics for record in cached if record.metrics["phase"] == 2]
    for ours, theirs in zip(second, (record.metrics for record in graph), strict=True):
        print(
            f"  loss {ours['loss']:.5f} from {LOWER}, {theirs['loss']:.5f} through the graph; "
            f"{ours['seconds']:.1f} s and {theirs['seconds']:.1f} s"
        )
    gaps = [abs(a["loss"] / b.metrics["loss"] - 1) for a, b in zip(second, graph, strict=True)]
    medians = [
        float(np.median([record["seconds"] for record in records]))
        for records in (second, [record.metrics for record in graph])
    ]
    print(f"  largest difference of the losses: {max(gaps):.2%}")
    print(f"  times faster, medians of an epoch: {medians[1] / medians[0]:.1f}")


def main() -> None:
    """Prints both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=12, help="of a frozen trial")
    parser.add_argument("--phase-2-epochs", type=int, default=3, help="of each phase")
    parser.add_argument("--image-size", type=int, default=64, help="that the base takes, pixels")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {BASE} at {options.image_size} px")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "train.npz", options.images)
        wall, cpu = in_process(embed, folder, options.image_size)
        train = int(options.images * (1 - 2 * VAL_SHARE))
        print(
            f"embed, {options.images:,} images, 3 cuts: {wall:.1f} s ({cpu:.1f} of CPU), once\n"
            f"frozen trial, n = {train:,} training images, {options.epochs} epochs, 1 thread:",
            flush=True,
        )
        reference = DataReference(
            features=str(folder / "features" / BASE), train_file=str(folder / "train.npz")
        )
        compare_frozen(reference, options.epochs)
        print(
            f"phase 2, n = {train:,} training images, {options.phase_2_epochs} epochs, 1 thread:",
            flush=True,
        )
        compare_phase_2(reference, 2 * options.phase_2_epochs)


if __name__ == "__main__":
    main()
