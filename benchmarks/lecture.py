"""The lecture's own run, through the code of every trial: Fashion-MNIST, Dense 300-100, SGD.

28x28 images / 255, the first 5,000 for validation, two relu layers with Glorot uniform weights,
SGD 0.01, batches of 32, 10 epochs. The lecture has 266,610 parameters, 1,719 steps an epoch,
val_accuracy 0.883 (loss 0.338), test accuracy 0.865 (loss 0.375), first test predictions 9, 2, 1.

Keras' `fit` without early stopping ends with the last epoch's weights, a trial with the best
epoch's. The lecture's validation figures are its last epoch's, so those are compared with the last
epoch here; the test figures here are those of the kept, best epoch.

Reads data/raw (`python -m pipeline fetch`) and the test images that it holds: this is no part of
the pipeline, and nothing is chosen by what it prints. Takes about 40 s on one CPU thread.

Run: python -m benchmarks.lecture [--raw data/raw] [--seeds 3]
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.data.labelled import LabelledImages, load_raw
from pipeline.data.split_params import SplitParams
from pipeline.data.splits import divide
from pipeline.features.arrays import ImageSet
from pipeline.features.pixels import write_pixels
from pipeline.hyperparameter import Value
from pipeline.training.data import DataReference
from pipeline.training.devices import configure_tensorflow
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec
from pipeline.training.worker import run_trial

EPOCHS = 10
PARTS = ("train", "val", "test")
HYPERPARAMETERS: dict[str, Value] = {
    "cut": "pixels",
    "pooling": "none",
    "views": "all",
    "feature_scaling": "unit",
    "num_layers": 2,
    "units_shape": "per_layer",
    "units_0": 300,
    "units_1": 100,
    "activation": "relu",
    "initializer": "glorot",
    "initializer_distribution": "uniform",
    "initializer_fan": "auto",
    "normalization": "none",
    "normalize_first": False,
    "batch_norm_momentum": 0.9,
    "batch_norm_epsilon": 0.001,
    "dropout": "none",
    "regularizer": "none",
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "schedule": "constant",
    "warmup_epochs": 0.0,
    "clipping": "none",
    "batch_size": 32,
    "images_per_epoch": 1,
    "bootstrap": False,
    "early_stopping": "none",
    "class_weight": "none",
    "unfreeze": 0,
}
# What the lecture has, and how far the mean of our runs may be from it.
EXPECTED = {
    "val_accuracy": (0.883, 0.01),
    "val_loss": (0.338, 0.02),
    "test_accuracy": (0.865, 0.01),
    "test_loss": (0.375, 0.02),
}
PARAMETERS = [235_500, 30_100, 1_010]
STEPS_PER_EPOCH = 1719
PREDICTIONS = [9, 2, 1]


def prepare(data: LabelledImages, folder: Path) -> DataReference:
    """Writes what a trial reads, with the test images as a part that it may be judged on."""
    # Unchecked, since params.yaml may not do without a confirmation part.
    params = SplitParams.model_construct(
        method="first_n", val_size=5000, confirmation_size=0, test_size=0.1, seed=0
    )
    # The lecture keeps every image.
    split = divide(data, params, deduplicate=False)
    rows = {part: getattr(split, part) for part in PARTS}
    is_train = np.isin(np.arange(len(data.labels)), split.train)
    images = ImageSet(
        image_shape=data.images.shape[1:], num_classes=len(data.class_names), is_train=is_train
    )
    write_pixels(folder / "none", images, [data.images])
    np.savez(folder / "train.npz", labels=data.labels, **rows)
    return DataReference(features=str(folder / "none"), train_file=str(folder / "train.npz"))


def run_seed(
    seed: int, reference: DataReference, model_file: Path
) -> tuple[TrialResult, EpochRecord]:
    """Trains once; returns the result and the last epoch's record."""
    records: list[EpochRecord] = []
    spec = TrialSpec(
        uid=f"lecture-{seed}",
        hyperparameters=HYPERPARAMETERS,
        seed=seed,
        epochs=EPOCHS,
        judge="test",
        model_file=str(model_file),
    )

    def report(record: EpochRecord) -> bool:
        records.append(record)
        return False

    return run_trial(spec, reference, report), records[-1]


def check_model(model_file: Path, data: LabelledImages) -> bool:
    """Prints the saved model's parameters per layer and its first test predictions."""
    import keras

    model = keras.models.load_model(model_file)
    parameters = [layer.count_params() for layer in model.layers if layer.count_params()]
    images = data.images[data.parts == "test"][: len(PREDICTIONS)]
    probabilities = model.predict(images[..., None].astype(np.float32), verbose=0)
    predicted = probabilities.argmax(axis=1).tolist()
    print(f"parameters {parameters}, {sum(parameters):,} together; expected {PARAMETERS}")
    print(f"first test predictions {predicted}; expected {PREDICTIONS}")
    return parameters == PARAMETERS and predicted == PREDICTIONS


def run_seeds(num_seeds: int, reference: DataReference, model_file: Path) -> bool:
    """Prints each run and the means beside the lecture's figures."""
    measured: list[dict[str, float]] = []
    is_right = True
    for seed in range(num_seeds):
        result, last = run_seed(seed, reference, model_file)
        measured.append({**result.metrics, **last.metrics})
        figures = ", ".join(f"{key} {measured[-1][key]:.4f}" for key in EXPECTED)
        print(f"seed {seed}: {figures}; epoch {result.best_epoch} kept; {result.seconds:.1f} s")
        is_right &= result.notes["steps_per_epoch"] == STEPS_PER_EPOCH
    print(f"steps an epoch {result.notes['steps_per_epoch']}; expected {STEPS_PER_EPOCH}")
    for key, (expected, tolerance) in EXPECTED.items():
        values = np.array([figures[key] for figures in measured])
        is_right &= bool(abs(values.mean() - expected) <= tolerance)
        print(
            f"{key} mean {values.mean():.4f}, from {values.min():.4f} to {values.max():.4f}, "
            f"n={len(values)} seeds; expected {expected} +- {tolerance}"
        )
    return is_right


def main() -> int:
    """Prints the runs beside the lecture's figures; returns 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="from stage fetch")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    configure_tensorflow(num_threads=1)
    _, data = load_raw(arguments.raw)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        reference, model_file = prepare(data, Path(name)), Path(name, "model.keras")
        is_right = run_seeds(arguments.seeds, reference, model_file)
        is_right &= check_model(model_file, data)
    print(
        f"{time.perf_counter() - start:.0f} s on one thread of {os.cpu_count()} "
        f"({platform.machine()}), Python {platform.python_version()}"
    )
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
