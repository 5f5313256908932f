"""Which bases run through ONNX Runtime, and does a converted base compute what the base computes?

For each network of the table with random weights, and for networks as people build them
(`made_models.py`), with the statistics of normalization that some images have in them: frozen as
`embed` does, up to the cuts that it would keep, at two sizes. With statistics that are made up a
deep network's outputs grow to 1e5, and what Keras itself computes in two ways differs by more than
their standard deviation. Printed is the engine, and how far
its outputs on further images, more than a batch of them, are from the Keras model's at most, in
standard deviations of each output; where TensorFlow runs it, why. Where that is more than the
pipeline allows, it is printed how far Keras' own `predict` is from the same: a network that makes
that much of rounding computes nothing that could be compared.

What was found is appended to a file; networks that are in it are not run again.

Run: nice python -m benchmarks.base_conversions [NAME...] [--made] [--to base_conversions.jsonl]
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from pipeline.bases.cuts import default_cuts, find_cuts
from pipeline.bases.load import load_base
from pipeline.bases.table import BASES, RANDOM, preprocessing
from pipeline.features.frozen import LARGEST_DIFFERENCE, freeze, largest_difference
from pipeline.processes import num_cores
from pipeline.training.devices import configure_tensorflow
from tests.bases.made_models import MADE, shaken

SMALLEST, FURTHER = 64, 32
MADE_SIZES = (16, 24)
BATCH, IMAGES = 8, 20
ALWAYS = 10**12


def base_of(name: str, size: int) -> Any:
    """Returns a network as a base; the same weights at every size."""
    import keras

    from pipeline.bases.flat import flat_copy, functional

    keras.utils.set_random_seed(1)
    if name in BASES:
        return measured(shaken(load_base(name, image_size=size, weights=RANDOM)), size)
    inputs = keras.Input((size, size, 3), name="images")
    return keras.Model(inputs, flat_copy(functional(MADE[name](size)), inputs), name=name)


def measured(base: Any, size: int) -> Any:
    """Returns a base with the statistics that its layers of normalization find in some images."""
    import keras

    layers = [one for one in base.layers if isinstance(one, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.trainable, layer.momentum = True, 0.0
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
    base(preprocessing((size, size, 3), size)(images), training=True)
    for layer in layers:
        layer.trainable = False
    return base


def to_cuts(base: Any, size: int) -> Any:
    """Returns raw images to the outputs that `embed` would keep by default."""
    from pipeline.features.embed import network_to_cuts

    cuts = default_cuts(find_cuts(base))
    return network_to_cuts(
        base, [cut.feed for cut in cuts], front=preprocessing((size, size, 3), size)
    )


def outputs(model: Any, images: np.ndarray) -> list[np.ndarray]:
    """Returns what the Keras model computes, a few images at a time."""
    import keras

    parts = [
        [np.asarray(output, np.float32) for output in keras.tree.flatten(model(part))]
        for part in np.array_split(images, len(images) // 4)
    ]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def run(name: str, size: int) -> dict[str, Any]:
    """Freezes a network at a size and compares it with the Keras model."""
    import keras

    model = to_cuts(base_of(name, size), size)
    images = np.random.default_rng(size).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
    start = time.perf_counter()
    network = freeze(model, images, num_images=ALWAYS, size_of_batch=BATCH)
    seconds = time.perf_counter() - start
    expected = outputs(model, images)
    difference, noise = largest_difference(network(images), expected), 0.0
    if difference > LARGEST_DIFFERENCE:
        predicted = model.predict(images, batch_size=BATCH, verbose=0)
        own = [np.asarray(one, np.float32) for one in keras.tree.flatten(predicted)]
        noise = largest_difference(own, expected)
    return {
        "name": name,
        "size": size,
        "engine": network.engine,
        "difference": difference,
        "noise": noise,
        "seconds": round(seconds, 1),
        "reason": network.reason,
    }


def show(found: dict[str, Any]) -> bool:
    """Prints a line; returns whether the network computes what it should."""
    # Two ways that are as far from a third as one another are no further apart than twice that; and
    # of more images than the pipeline compares the largest difference is larger.
    is_right = found["difference"] <= 2 * max(LARGEST_DIFFERENCE, found["noise"])
    noise = f" Keras: {found['noise']:.0e}" if found["noise"] else ""
    print(
        f"{found['name']:29}{found['size']:5} {found['engine']:12}{found['difference']:9.0e}"
        f"{found['seconds']:6.0f} s {found['reason'][:90]}{noise}{'' if is_right else '  WRONG'}",
        flush=True,
    )
    return is_right


def main() -> None:
    """Converts the named networks, or all of them, and exits with 1 if one computes otherwise."""
    import keras

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="(default: the whole table)")
    parser.add_argument("--made", action="store_true", help="the made models instead")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where results are kept")
    args = parser.parse_args()
    configure_tensorflow(num_threads=num_cores())
    print(machine(), flush=True)
    lines = args.to.read_text(encoding="utf-8").splitlines() if args.to and args.to.exists() else []
    done = [json.loads(line) for line in lines]
    names = args.names or list(MADE if args.made else BASES)
    results = [show(found) for found in done if found["name"] in names]
    for name in names:
        smallest = max(BASES[name].min_image_size, SMALLEST) if name in BASES else 0
        for size in (smallest, smallest + FURTHER) if smallest else MADE_SIZES:
            if any((found["name"], found["size"]) == (name, size) for found in done):
                continue
            keras.utils.clear_session()
            found = run(name, size)
            results.append(show(found))
            if args.to:
                with args.to.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(found) + "\n")
            gc.collect()
    print(f"{sum(results)} of {len(results)} rows are right")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
