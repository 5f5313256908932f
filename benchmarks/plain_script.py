"""What a tutorial's script reaches on the same images, beside this project's registered model.

The script: EfficientNet-Lite0, frozen, its images resized to one size, dropout 0.2, one dense
layer, Adam 1e-3, at most 30 epochs, the best by validation accuracy. At 64, 128 and 224 pixels; at
each its test accuracy, so that its best is the best that its user could have picked, by luck. The
difference to the registered model is paired: both answer for the same test images.

Run in a checkout after `dvc repro`: python -m benchmarks.plain_script [--study transfer]
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from pipeline.evaluation.intervals import paired_difference
from pipeline.processes import num_cores

SIZES = (64, 128, 224)
RESAMPLES = 10_000
EPOCHS, PATIENCE, BATCH_SIZE, DROPOUT, LEARNING_RATE, SEED = 30, 5, 32, 0.2, 1e-3, 1


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="transfer")
    parser.add_argument("--root", type=Path, default=Path())
    args = parser.parse_args()

    from pipeline.training.devices import configure_tensorflow

    configure_tensorflow(num_threads=num_cores())
    with np.load(args.root / "results/predictions.npz") as archive:
        ours, labels = archive[args.study], archive["labels"]
    print(machine())
    print(f"registered model: {np.mean(ours.argmax(axis=1) == labels):.4f} (n={len(labels)})")
    print("pixels  seconds  images/s  script  ours - script, 95% interval")
    for size in SIZES:
        answers, seconds, speed = script(args.root, size)
        difference = paired_difference(
            "accuracy", ours, answers, labels, num_resamples=RESAMPLES, seed=SEED
        )
        print(
            f"{size:6}  {seconds:7.0f}  {speed:8.0f}  "
            f"{np.mean(answers.argmax(axis=1) == labels):.4f}  "
            f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
        )


def script(root: Path, size: int) -> tuple[np.ndarray, float, float]:
    """Returns probabilities of the test images, the seconds of it all, and images/s of the base."""
    import keras

    from pipeline.bases.load import load_base
    from pipeline.bases.table import preprocessing

    start = time.perf_counter()
    with np.load(root / "data/train.npz") as archive:
        images, labels = archive["images"], archive["labels"]
        train, val = archive["train"], archive["val"]
    with np.load(root / "data/test.npz") as archive:
        test_images = archive["images"]
    keras.utils.set_random_seed(SEED)
    front = preprocessing(images.shape[1:], size)
    base = load_base("efficientnet_lite0", image_size=size)
    network = keras.Model(front.input, base(front.output))

    def embed(rows: np.ndarray) -> np.ndarray:
        return network.predict(rows, batch_size=BATCH_SIZE, verbose=0)

    begin = time.perf_counter()
    features = embed(images)
    speed = len(images) / (time.perf_counter() - begin)
    head = keras.Sequential(
        [
            keras.layers.Dropout(DROPOUT),
            keras.layers.Dense(int(labels.max()) + 1, activation="softmax"),
        ]
    )
    head.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=PATIENCE, restore_best_weights=True
    )
    head.fit(
        features[train],
        labels[train],
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(features[val], labels[val]),
        callbacks=[stop],
        verbose=0,
    )
    answers = head.predict(embed(test_images), verbose=0)
    return answers, time.perf_counter() - start, speed


if __name__ == "__main__":
    main()
