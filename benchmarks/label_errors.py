"""Does `review` find labels that were made wrong, and near-duplicates that were planted?

Of Fashion-MNIST (or others) 2% of the labels of train, val and confirmation are flipped to another
class, drawn evenly, and 50 copies of each kind are planted: shifted by a pixel, compressed as JPEG,
brighter or darker, mirrored; each in a part drawn at random. Printed are precision and recall of
the 2% that are most suspicious, and of the list as the stage writes it; how many of the planted
copies are found; and what finding took. The data set is divided and embedded as the stages do it;
the test part is never read.

`PIPELINE_MIRROR` names a folder of the data sets' files, where the stage `fetch` has none.

Run: python -m benchmarks.label_errors [--only fashion_mnist] [--photos FOLDER] [--most 60000]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks import subsets
from benchmarks.machine import machine
from benchmarks.near_duplicates import brighter, compressed
from pipeline.data.rows import row_batches
from pipeline.evaluation.label_errors import self_confidence
from pipeline.processes import num_cores
from pipeline.review.duplicates import Duplicates, find_duplicates, gray_details
from pipeline.review.judgement import Images, judge
from pipeline.review.vectors import choose_source, find_sources, read_vectors
from pipeline.training.devices import configure_tensorflow

BASE = {
    "model": "efficientnet_lite0",
    "image_size": 64,
    "cuts": ["block4_add:grid4", "block10_add"],
}
SHARE = 0.02
NUM_COPIES = 50
SEED = 0


def shifted(image: Image.Image) -> Image.Image:
    """Moved right by a pixel; the first column is doubled."""
    moved = image.copy()
    moved.paste(image.crop((0, 0, image.width - 1, image.height)), (1, 0))
    return moved


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "shifted by a pixel": shifted,
    "JPEG 75": compressed(75),
    "brightness +20%": brighter(1.2),
    "brightness -20%": brighter(0.8),
    "mirrored": ImageOps.mirror,
}


def plant(file: Path) -> NDArray[np.int64]:
    """Adds copies to a file as `write_subset` left it; returns their and their originals' rows."""
    with np.load(file) as archive:
        content = dict(archive)
    images, rng = content["images"], np.random.default_rng(SEED)
    number = min(NUM_COPIES * len(KINDS), len(images))
    originals = rng.choice(len(images), number, replace=False)
    changes = np.repeat(list(KINDS), -(-number // len(KINDS)))[:number]
    copies = np.stack(
        [
            np.asarray(KINDS[kind](Image.fromarray(images[row])))
            for row, kind in zip(originals, changes, strict=True)
        ]
    )
    rows = len(images) + np.arange(number)
    part_of = rng.choice(["train", "val", "confirmation"], number)
    for part in ("train", "val", "confirmation"):
        content[part] = np.concatenate([content[part], rows[part_of == part]])
    content["images"] = np.concatenate([images, copies])
    content["labels"] = np.concatenate([content["labels"], content["labels"][originals]])
    np.savez(file, **content)
    return np.stack([originals, rows], axis=1)


def flipped(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Returns labels of which 2% are of another class, and which these are."""
    rng, num_classes = np.random.default_rng(SEED), int(labels.max()) + 1
    wrong = rng.choice(len(labels), round(SHARE * len(labels)), replace=False)
    changed, is_flipped = labels.copy(), np.zeros(len(labels), bool)
    changed[wrong] = (labels[wrong] + rng.integers(1, num_classes, len(wrong))) % num_classes
    is_flipped[wrong] = True
    return changed, is_flipped


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints the seconds of a block, on the clock and of processor."""
    start, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"  {what}: {seconds:.1f} s ({cpu:.1f} s of processor)", flush=True)


def measure(folder: Path, planted: NDArray[np.int64]) -> None:
    """Prints what is found of what was planted and flipped."""
    with np.load(folder / "train.npz") as archive:
        labels = archive["labels"].astype(np.int64)
        parts = np.full(len(labels), "train", "<U12")
        for part in ("val", "confirmation"):
            parts[archive[part]] = part
    labels, is_flipped = flipped(labels)
    with timed("choosing the cut"):
        source = choose_source(find_sources(folder / "features"), labels, seed=SEED)
    with timed(f"reading {source.name}"):
        vectors = read_vectors(source, seed=SEED)
    with timed(f"near-duplicates among {len(labels):,}"):
        grays = gray_details(row_batches(folder / "train.npz", "images", batch_size=1024))
        duplicates = find_duplicates(vectors, grays)
    report_copies(duplicates, planted)
    images = Images(
        labels=labels,
        parts=parts,
        indices=np.arange(len(labels)),
        files=(),
        class_names=[str(name) for name in range(int(labels.max()) + 1)],
    )
    with timed("judging the labels"):
        found = judge(images, vectors, duplicates, seed=SEED)
    order = np.argsort(self_confidence(found.probabilities, labels), kind="stable")
    number = int(is_flipped.sum())
    at_share = is_flipped[order[:number]].mean()
    is_right = is_flipped[found.suspicious.rows]
    print(
        f"  {number:,} of {len(labels):,} labels flipped: precision and recall {at_share:.3f} of "
        f"the {number:,} least likely, precision {is_flipped[order[: number // 2]].mean():.3f} of "
        f"the first half of these; the list has {len(is_right):,}, "
        f"precision {is_right.mean():.3f}, recall {is_right.sum() / number:.3f}",
        flush=True,
    )


def report_copies(duplicates: Duplicates, planted: NDArray[np.int64]) -> None:
    """Prints the share of each kind that is found, and how many other pairs there are."""
    pairs = {tuple(pair) for pair in duplicates.pairs.tolist()}
    is_found = np.array([tuple(pair) in pairs for pair in planted.tolist()])
    for kind, of_kind in zip(KINDS, np.array_split(is_found, len(KINDS)), strict=True):
        print(f"  {kind:20} {of_kind.sum()} of {len(of_kind)}", flush=True)
    others = len(pairs) - int(is_found.sum())
    print(f"  {others:,} other pairs")


def main() -> None:
    """Measures on each set of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with a sub-folder for each class")
    parser.add_argument("--only", nargs="+", help="names of data sets (default: fashion_mnist)")
    parser.add_argument("--most", type=int, default=60_000, help="images of train, at most")
    args = parser.parse_args()
    configure_tensorflow(num_threads=num_cores())
    print(machine(), flush=True)
    found = subsets.sets(args.photos)
    for name in args.only or ["fashion_mnist"]:
        with tempfile.TemporaryDirectory(prefix="label-errors-") as root:
            print(name, flush=True)
            folder = Path(root)
            whole = {"num_val": 5000, "num_held_out": 5000}
            subsets.write_subset(folder, found[name], num_train=args.most, **whole)
            planted = plant(folder / "train.npz")
            with timed("embedding"):
                subsets.embed(folder, {"base": BASE})
            measure(folder, planted)


if __name__ == "__main__":
    main()
