"""Seconds per training epoch: this project's loop beside Keras' `fit`, one CPU thread each.

50,000 rows of random data in a memory-mapped file: 28x28 uint8 pixels into a 300-100 network,
8x8x40 float16 features into a 256-unit head, and 4,352 of them, as of two cuts side by side, into
484 units. Adam moves two million weights there, which is most of such a step; so the loop runs with
Keras' own Adam, too. `fit` gets the whole array as float32, as a plain script would give it; the
loop gathers batches from the file. No validation on either side. Every measurement is a process of
its own, so that its peak memory is its own too. On a busy machine the seconds of CPU tell more than
those of the clock.

Run: python -m benchmarks.training_speed [--epochs 5]
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from pipeline.hyperparameter import Value
from pipeline.training.devices import configure_tensorflow

NUM_ROWS = 50_000
NUM_CLASSES = 10
HYPERPARAMETERS: dict[str, Value] = {
    "optimizer": "adam",
    "learning_rate": 0.001,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "schedule": "constant",
    "warmup_epochs": 0.0,
    "clipping": "none",
    "class_weight": "none",
    "images_per_epoch": NUM_ROWS,
    "bootstrap": False,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network on one kind of data.

    Attributes:
        name: Printed.
        shape: Of a row.
        dtype: As stored.
        units: Of the hidden layers.
        batch_size: Rows per update.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    units: tuple[int, ...]
    batch_size: int


PIXELS = {"name": "784-300-100-10", "shape": (28, 28, 1), "dtype": "uint8", "units": (300, 100)}
MAPS = {"name": "8x8x40-256-10", "shape": (8, 8, 40), "dtype": "float16", "units": (256,)}
WIDE = {"name": "4352-484-10", "shape": (4352,), "dtype": "float16", "units": (484,)}
CASES = [
    Case(**PIXELS, batch_size=32),
    Case(**PIXELS, batch_size=128),
    Case(**MAPS, batch_size=128),
    Case(**WIDE, batch_size=128),
]


def _model(case: Case):
    import keras

    keras.utils.set_random_seed(0)
    scaling = keras.layers.Rescaling(1 / 255 if case.dtype == "uint8" else 1.0)
    hidden = [keras.layers.Dense(units, "relu") for units in case.units]
    return keras.Sequential(
        [
            keras.Input(case.shape),
            scaling,
            keras.layers.Flatten(),
            *hidden,
            keras.layers.Dense(NUM_CLASSES, "softmax"),
        ]
    )


def _pipeline_loop(case: Case, features, labels) -> Callable[[int], object]:
    from pipeline.training.batches import TrainingData
    from pipeline.training.fit import Training
    from pipeline.training.phases import whole

    rows = np.arange(len(labels))
    data = TrainingData(
        features=features, labels=labels, train=rows, val=rows[:1], num_classes=NUM_CLASSES
    )
    values = {**HYPERPARAMETERS, "batch_size": case.batch_size}
    return Training(_model(case), data, values, phase=whole(100), seed=0).run_epoch


def _pipeline_loop_with_keras_adam(case: Case, features, labels) -> Callable[[int], object]:
    import keras

    import pipeline.training.adam

    pipeline.training.adam.Adam = keras.optimizers.Adam
    return _pipeline_loop(case, features, labels)


def _keras_fit(case: Case, features, labels, **compile_options) -> Callable[[int], object]:
    model = _model(case)
    model.compile(
        optimizer="adam",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **compile_options,
    )
    floats = features.astype(np.float32)
    return lambda _: model.fit(floats, labels, batch_size=case.batch_size, verbose=0)


def _keras_fit_chunked(case: Case, features, labels) -> Callable[[int], object]:
    return _keras_fit(case, features, labels, steps_per_execution=64)


HOW: dict[str, Callable[..., Callable[[int], object]]] = {
    "fit": _keras_fit,
    "fit, steps_per_execution=64": _keras_fit_chunked,
    "pipeline.training.fit": _pipeline_loop,
    "the same with Keras' Adam": _pipeline_loop_with_keras_adam,
}


def measure(case: Case, how: str, file: Path, epochs: int) -> str:
    """Runs some epochs and says what they took; the first, which compiles, is told apart."""
    configure_tensorflow(num_threads=1)
    features = np.load(file, mmap_mode="r")
    labels = np.random.default_rng(0).integers(0, NUM_CLASSES, NUM_ROWS)
    run_epoch = HOW[how](case, features, labels)
    wall, cpu = [], []
    for epoch in range(epochs):
        start, cpu_start = time.perf_counter(), time.process_time()
        run_epoch(epoch)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{np.median(wall[1:]):5.2f} s/epoch ({np.median(cpu[1:]):5.2f} of CPU), "
        f"first {wall[0]:5.2f} s, peak {peak:5.0f} MiB"
    )


def main() -> None:
    """Prints one line per case and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    epochs = parser.parse_args().epochs
    print(f"{machine()}; 1 thread; median of {epochs - 1} epochs")
    # A process per measurement, spawned: TensorFlow does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            file = Path(folder, "features.npy")
            values = np.random.default_rng(1).integers(0, 256, (NUM_ROWS, *case.shape), np.uint8)
            np.save(file, values if case.dtype == "uint8" else (values / 256).astype(np.float16))
            for how in HOW:
                with context.Pool(1) as pool:
                    found = pool.apply(measure, (case, how, file, epochs))
                print(f"{case.name:<15} batch {case.batch_size:<4} {how:<28} {found}", flush=True)


if __name__ == "__main__":
    main()
