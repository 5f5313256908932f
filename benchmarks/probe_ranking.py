"""Does the plan's probe rank bases, sizes and cuts as trainings do?

On subsets of Fashion-MNIST, CIFAR-10 and a folder of photographs: for each of eight choices of a
base, an image size and a cut, the accuracy that the probe expects from a sample of the training
part, and that of a head trained on all of the subset's training images, on the validation part.
Printed are both, their rank correlation (Spearman's), what the probe's choice is worse than the
best (its regret) and the seconds that probes and trainings took. The test parts are never read.

`PIPELINE_MIRROR` names a folder of the data sets' files, where the stage `fetch` has none.

Run: python -m benchmarks.probe_ranking [--photos FOLDER] [--num-train 8000] [--only cifar10]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import subsets
from benchmarks.machine import machine
from benchmarks.transfer_sizes import reference
from pipeline.processes import num_cores
from pipeline.training.devices import configure_tensorflow

# A low and the highest cut of each base, at a small and a larger size.
CUTS = {
    "efficientnet_lite0": ("block10_add:grid4", "avg_pool"),
    "efficientnet_lite2": ("block14_add:grid4", "avg_pool"),
}
IMAGE_SIZES = (64, 128)
HEAD = {
    **{"num_layers": 1, "units": 512, "activation": "relu", "dropout": "all", "dropout_rate": 0.3},
    **{"optimizer": "adamw", "schedule": "cosine", "batch_size": 128, "early_stopping": "none"},
}
NUM_PROBED = 2000
NUM_VAL = 3000


def base_name(model: str, image_size: int) -> str:
    """Returns what a base at a size is called below `embed.bases`."""
    return f"{model}_{image_size}"


def probed(folder: Path, *, num_train: int) -> Iterator[tuple[str, str, float]]:
    """Yields name of base, cut and expected accuracy of each choice."""
    from pipeline.bases.load import load_base
    from pipeline.bases.table import preprocessing
    from pipeline.features.embed import network_to_cuts
    from pipeline.features.frozen import TENSORFLOW, freeze
    from pipeline.planning.expectation import expected_errors
    from pipeline.planning.probe import Probe, parts_of, probed_cuts
    from pipeline.planning.sample import read_sample

    sample = read_sample(folder / "train.npz", size=NUM_PROBED, seed=0)
    found = {}
    for model, wanted in CUTS.items():
        for image_size in IMAGE_SIZES:
            base = load_base(model, image_size=image_size)
            cuts = probed_cuts(base, [cut.partition(":")[0] for cut in wanted])
            # A map of 4x4 is kept as it is, and so is called.
            every = {(part.cut, part.pooling): part for part in parts_of(cuts)}
            named = [cut.partition(":")[::2] for cut in wanted]
            parts = [every.get((cut, kind)) or every[cut, "none"] for cut, kind in named]
            images = sample.images
            front = preprocessing(images.shape[1:], image_size)
            network = network_to_cuts(base, [part.feed for part in parts], front=front)
            frozen = freeze(network, images, num_images=len(images), engine=TENSORFLOW)
            probe = Probe(frozen, parts, images, sample.labels)
            for cut, part in zip(wanted, parts, strict=True):
                found[base_name(model, image_size), cut] = probe.errors([part])
    errors = expected_errors([*found.values()], num_train=num_train)
    for (name, cut), error in zip(found, errors, strict=True):
        yield name, cut, 1 - error


def trained(folder: Path, name: str, cut: str, *, epochs: int) -> float:
    """Returns the validation accuracy of a head that is trained on all training images."""
    told = {**HEAD, "cut": cut, "learning_rate": 1e-3}
    result = subsets.train(reference(folder, name), told, seed=0, epochs=epochs)
    return result.metrics["val_accuracy"]


def compare(folder: Path, *, epochs: int) -> None:
    """Prints both accuracies of each choice, and how well the probe ranks them."""
    import numpy as np
    from scipy.stats import spearmanr

    with np.load(folder / "train.npz") as archive:
        num_train, num_val = len(archive["train"]), len(archive["val"])
    start = time.perf_counter()
    choices = list(probed(folder, num_train=num_train))
    probe_seconds = time.perf_counter() - start
    start = time.perf_counter()
    bases = {
        base_name(model, size): {"model": model, "image_size": size, "cuts": [*cuts]}
        for model, cuts in CUTS.items()
        for size in IMAGE_SIZES
    }
    subsets.embed(folder, bases)
    values = []
    for name, cut, expected in choices:
        values.append(trained(folder, name, cut, epochs=epochs))
        print(f"  expected {expected:.4f}  trained {values[-1]:.4f}  {name} {cut}", flush=True)
    seconds = time.perf_counter() - start
    expectations = [expected for *_, expected in choices]
    regret = max(values) - values[int(np.argmax(expectations))]
    print(
        f"  {num_train:,} training and {num_val:,} validation images: rank correlation "
        f"{spearmanr(expectations, values).statistic:.2f}, regret {regret:.4f}; probes "
        f"{probe_seconds:.0f} s, embedding and training {seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    """Compares on each set of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with a sub-folder for each class")
    parser.add_argument("--num-train", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--only", nargs="+", help="names of data sets (default: all but digits)")
    args = parser.parse_args()
    configure_tensorflow(num_threads=num_cores())
    print(machine(), flush=True)
    found = subsets.sets(args.photos)
    for name in args.only or [name for name in found if name != "digits"]:
        with tempfile.TemporaryDirectory(prefix="ranking-") as root:
            print(name, flush=True)
            subsets.write_subset(Path(root), found[name], num_train=args.num_train, num_val=NUM_VAL)
            compare(Path(root), epochs=args.epochs)


if __name__ == "__main__":
    main()
