"""How fast frozen bases run through TensorFlow and through ONNX Runtime, and in how much memory.

1. Images a second of each base at each size, from stored images of that size to the ends of its
   upper blocks, as `embed` runs them: each engine with the batch that it is given by default. Both
   take turns, since other work on the machine slows whichever runs at the time; a figure is the
   median of the rounds. The difference is the largest of a value of these images, in standard
   deviations of the output that it is of.
2. With --memory, the most that a process holds which embeds ever more photographs by the stage
   `embed`: it must not grow with them. Fewer than `frozen.WORTH_CONVERTING` asks for, 1,550 of
   EfficientNet-Lite0 at 224 pixels, run in TensorFlow, and say nothing of ONNX Runtime.

Run: python -m benchmarks.embedding_speed [BASE...] [--sizes 64 128 224] [--rounds 5]
     python -m benchmarks.embedding_speed --memory 1800 3600 7200 [--sizes 224]
"""

import argparse
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from pipeline.features.frozen import FrozenNetwork, freeze, largest_difference
from pipeline.features.params import EmbedParams
from pipeline.processes import num_cores
from pipeline.training.devices import configure_tensorflow

CUTS = {
    "efficientnet_lite0": ["block10_add", "block14_add", "block15_bn2"],
    "efficientnet_lite1": ["block14_add", "block19_add", "block20_bn2"],
    "efficientnet_lite2": ["block14_add", "block19_add", "block20_bn2"],
}
# Of images: the work of each measurement is about the same at every size.
PIXELS_OF_A_ROUND = 512 * 64**2
ALWAYS = 10**12


def random_images(num_images: int, size: int) -> NDArray[np.uint8]:
    """Returns noise, RGB: what images show costs no time."""
    return np.random.default_rng(0).integers(0, 256, (num_images, size, size, 3), dtype=np.uint8)


def both_engines(base: str, size: int, images: NDArray[np.uint8]) -> list[FrozenNetwork]:
    """Returns the base up to its cuts as TensorFlow and as ONNX Runtime run it."""
    from pipeline.bases.cuts import find_cuts
    from pipeline.bases.load import load_base
    from pipeline.bases.table import preprocessing
    from pipeline.features.embed import network_to_cuts

    loaded = load_base(base, image_size=size)
    cuts = [cut for cut in find_cuts(loaded) if cut.name in CUTS[base]]
    front = preprocessing((size, size, 3), size)
    model = network_to_cuts(loaded, [cut.feed for cut in cuts], front=front)
    return [freeze(model, images, num_images=number) for number in (1, ALWAYS)]


def compare(base: str, size: int, rounds: int) -> float:
    """Prints the speeds of a base at a size; returns how many times faster ONNX Runtime is."""
    images = random_images(max(256, PIXELS_OF_A_ROUND // size**2), size)
    started = time.perf_counter()
    networks = both_engines(base, size, images)
    ready = time.perf_counter() - started
    difference = largest_difference(*(network(images) for network in reversed(networks)))
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for network, taken in zip(networks, seconds, strict=True):
            start = time.perf_counter()
            network(images)
            taken.append(time.perf_counter() - start)
    speeds = [len(images) / statistics.median(taken) for taken in seconds]
    ratios = [before / after for before, after in zip(*seconds, strict=True)]
    shown = "  ".join(
        f"{network.engine} {speed:6.0f} ({network.batch_size} at a time)"
        for network, speed in zip(networks, speeds, strict=True)
    )
    print(
        f"{base} {size:4}  {shown}  {statistics.median(ratios):.2f} times  "
        f"difference {difference:.0e}  ready in {ready:.0f} s",
        flush=True,
    )
    return statistics.median(ratios)


def write_images(file: Path, num_images: int, size: int) -> None:
    """Writes a train.npz of noise with its parts."""
    thirds = np.array_split(np.arange(num_images), 3)
    np.savez(
        file,
        images=random_images(num_images, size),
        labels=np.arange(num_images) % 2,
        **dict(zip(("train", "val", "confirmation"), thirds, strict=True)),
    )


def embed_file(file: Path, base: str, size: int, answer) -> None:
    """Runs the stage on a train.npz; answers with the most that this process held, bytes."""
    from pipeline.stages import embed

    configure_tensorflow(num_threads=num_cores())
    own = {"image_size": size, "cuts": CUTS[base]}
    params = {"bases": {base: own}, "pixels_size": 64, "batch_size": "auto", "max_bytes": 10**11}
    embed.run(
        EmbedParams.model_validate(params),
        train_file=file,
        features=file.parent / "features",
        store=file.parent / "store",
    )
    # Of this program alone: what getrusage says begins with what its parent held.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    answer.put(1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))


def memory(base: str, size: int, numbers: Sequence[int]) -> None:
    """Prints what embedding holds at most, by the number of images."""
    context = multiprocessing.get_context("spawn")
    for num_images in numbers:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.npz"
            write_images(file, num_images, size)
            answer = context.Queue()
            child = context.Process(target=embed_file, args=(file, base, size, answer))
            child.start()
            held = answer.get()
            child.join()
        print(
            f"{base} {size:4}  {num_images:7,} images of {num_images * 3 * size**2 / 1e9:.2f} GB: "
            f"{held / 1e9:.2f} GB held at most",
            flush=True,
        )


def main() -> None:
    """Compares the engines, or measures memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "bases", nargs="*", metavar="BASE", default=["efficientnet_lite0", "efficientnet_lite2"]
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 224], metavar="PIXELS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="+", metavar="IMAGES")
    args = parser.parse_args()
    print(machine(), flush=True)
    if args.memory:
        for base in args.bases:
            for size in args.sizes:
                memory(base, size, args.memory)
        return
    configure_tensorflow(num_threads=num_cores())
    ratios = [compare(base, size, args.rounds) for base in args.bases for size in args.sizes]
    print(f"ONNX Runtime is {min(ratios):.2f} to {max(ratios):.2f} times as fast")


if __name__ == "__main__":
    main()
