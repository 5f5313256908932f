"""Is a head on several cuts side by side better than one on the best single cut?

On subsets of Fashion-MNIST, CIFAR-10 and a folder of photographs: EfficientNet-Lite0 frozen, one
head, the same settings and epochs for each cut. Of the single cuts, and of the lists, at each
learning rate, the best on the validation part (one seed) is trained with all seeds and compared on
held-out images: a part of the training images that nothing was chosen by. The test parts are never
read. The interval is a paired one over the held-out images, of the mean over the seeds. The best
list is exported too, and the file's answers on the raw held-out images are compared with those from
the cache.

Found (2 shared cores, 3 seeds, rate 0.001): Fashion-MNIST -0.4 points [-1.1, +0.4] against all of
`block4_add`, CIFAR-10 -0.1 [-1.0, +0.9], photographs of waste (n=183) +1.1 [-2.4, +4.6]: no gain is
shown with so few images and one dropout rate. Exported files: 3.1e-04 at most, all classes equal.

`PIPELINE_MIRROR` names a folder of the data sets' files, where the stage `fetch` has none.

Run: python -m benchmarks.joined_cuts [--photos FOLDER] [--seeds 3] [--num-train 5000] [--epochs 6]
         [--learning-rates 0.001 0.0003] [--only fashion_mnist cifar10]
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import subsets
from benchmarks.machine import machine
from benchmarks.transfer_sizes import reference
from pipeline.processes import num_cores
from pipeline.training.data import DataReference
from pipeline.training.devices import configure_tensorflow
from pipeline.training.ensemble import mean_probabilities

BASE = "efficientnet_lite0"
IMAGE_SIZES = {"fashion_mnist": 64, "cifar10": 96}
IMAGE_SIZE = 96  # of photographs, stored at 128 pixels
STORED_SIZE = 128
SINGLE = (
    *("block4_add", "block7_add", "block10_add", "block14_add", "block15_bn2"),
    "block15_bn2:global",
)
LISTS = (
    "block10_add:grid4+block14_add:grid4+block15_bn2:grid2",
    "block4_add:grid4+block7_add:grid4+block10_add:grid4+block14_add:grid4+block15_bn2:grid2",
    "block4_add:none+block7_add:grid4+block10_add:grid4+block14_add:grid4+block15_bn2:grid2",
)
HEAD = {
    **{"num_layers": 1, "units": 512, "activation": "relu", "dropout": "all", "dropout_rate": 0.3},
    **{"optimizer": "adamw", "schedule": "cosine", "batch_size": 128, "early_stopping": "none"},
    "images_per_epoch": 1,
}
NUM_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one training reached.

    Attributes:
        val: Accuracy on the validation part.
        held_out: Probabilities of the held-out images, shape (n, classes).
        labels: Their classes, shape (n,).
        member: What it saved, as it is exported.
    """

    val: float
    held_out: NDArray[np.float32]
    labels: NDArray[np.int64]
    member: Any


def train(
    data: DataReference, cut: str, rate: float, *, seed: int, epochs: int, file: Path
) -> Trained:
    """Trains a head on a cut at a learning rate, as a trial of a search."""
    from pipeline.training.export import Member, load_exported

    told = {**HEAD, "cut": cut, "learning_rate": rate}
    result = subsets.train(data, told, seed=seed, epochs=epochs, file=file)
    feed = data.load_cut(cut, judge=None).feed
    member = Member(trained=load_exported(file), cut=cut, parts=feed)
    answers, labels = mean_probabilities([member], data, part="confirmation")
    val = result.metrics["val_accuracy"]
    return Trained(val=val, held_out=answers.astype(np.float32), labels=labels, member=member)


def paired(lists: list[Trained], single: list[Trained]) -> tuple[float, float, float]:
    """Returns the gain in accuracy, mean over the seeds, with its 95% bootstrap interval."""

    def hits(trained: list[Trained]) -> NDArray[np.float64]:
        each = [one.held_out.argmax(axis=1) == one.labels for one in trained]
        return np.mean(each, axis=0)

    gain, rng = hits(lists) - hits(single), np.random.default_rng(0)
    n = len(gain)
    means = [gain[rng.integers(n, size=n)].mean() for _ in range(NUM_RESAMPLES)]
    return float(gain.mean()), *np.quantile(means, [0.025, 0.975])


def accuracy(trained: list[Trained]) -> str:
    """Returns held-out accuracies as text: their mean, and each seed's."""
    each = [float(np.mean(one.held_out.argmax(axis=1) == one.labels)) for one in trained]
    return f"{np.mean(each):.4f} ({', '.join(f'{value:.4f}' for value in each)})"


def check_export(best: Trained, data: DataReference, folder: Path) -> str:
    """Exports a training and says how its answers on raw images differ from the cache's."""
    from pipeline.training.export import export, load_exported, predict_probabilities

    with np.load(data.train_file) as archive:
        images = archive["images"][archive["confirmation"]]
    base, file = data.load_base(), folder / "model.keras"
    size, shape = base.input.shape[1], images.shape[1:]
    export(file, [best.member], image_shape=shape, image_size=size, base=base)
    raw = predict_probabilities(load_exported(file), images)
    same = (raw.argmax(axis=1) == best.held_out.argmax(axis=1)).mean()
    largest = np.abs(raw - best.held_out).max()
    return f"exported, n={len(images)}: largest difference {largest:.1e}, equal classes {same:.2%}"


def compare(
    data: DataReference, folder: Path, *, seeds: int, epochs: int, rates: Sequence[float]
) -> None:
    """Prints every cut's validation accuracy, then the two best on the held-out images."""
    told: dict[str, Any] = {"epochs": epochs, "file": folder / "trial.keras"}
    best = {}
    for kind, cuts in (("single", SINGLE), ("list", LISTS)):
        first = {}
        for choice in itertools.product(cuts, rates):
            first[choice] = train(data, *choice, seed=0, **told)
            print(f"  {first[choice].val:.4f}  {choice[1]:g}  {choice[0]}", flush=True)
        choice = max(first, key=lambda each: first[each].val)
        more = [train(data, *choice, seed=seed, **told) for seed in range(1, seeds)]
        best[kind] = [first[choice], *more]
        print(
            f"  held out, {kind}: {accuracy(best[kind])}  {choice[0]} at {choice[1]:g}", flush=True
        )
    gain, low, high = paired(best["list"], best["single"])
    n = len(best["list"][0].labels)
    print(f"  gain {gain:+.4f} [{low:+.4f}, {high:+.4f}], n={n}, {seeds} seeds")
    print(f"  {check_export(best['list'][0], data, folder)}", flush=True)


def main() -> None:
    """Compares on each set of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with a sub-folder for each class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--num-train", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[1e-3, 3e-4])
    parser.add_argument("--only", nargs="+", help="names of data sets (default: all)")
    args = parser.parse_args()
    configure_tensorflow(num_threads=num_cores())
    print(machine(), flush=True)
    found = subsets.sets(args.photos, image_size=STORED_SIZE)
    for name in args.only or [name for name in found if name != "digits"]:
        image_size = IMAGE_SIZES.get(name, IMAGE_SIZE)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="joined-") as root:
            folder = Path(root)
            subsets.write_subset(folder, found[name], num_train=args.num_train)
            bases = {BASE: {"image_size": image_size, "cuts": [*SINGLE, *LISTS]}}
            speed = subsets.embed(folder, bases)
            print(f"{name}, {BASE} at {image_size} px: {speed:.0f} images/s embedded", flush=True)
            data = reference(folder, BASE)
            told = {"seeds": args.seeds, "epochs": args.epochs}
            compare(data, folder, rates=args.learning_rates, **told)
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
