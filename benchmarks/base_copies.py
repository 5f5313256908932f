"""Does every copy of a base compute what the base computes?

For each network of the table, and for networks as people build them (`made_models.py`), at two
sizes, on random images, with statistics of normalization that are none of the initial ones.
Printed is the largest difference between a copy and its original, as a share of the range of the
original's outputs:

- network: `load_base` of a weight file against the network of `keras.applications` that wrote it,
  with the scaling that Keras documents for it. Where this project puts the scaling into layers or
  kernels, sums are rounded elsewhere, so that it may differ by 1e-4;
- own: the base's file as a user's own model; saved: `base.keras`; segment: the layers between a
  cut and the top; export: `join` of base and head; chain: base and head as one flat model. These
  may differ by 1e-6.

Run: python -m benchmarks.base_copies [NAME...] [--made] [--copies own ...]
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import find_cuts
from pipeline.bases.load import load_base
from pipeline.bases.model_files import weights_sha256
from pipeline.bases.table import BASES, RANDOM
from pipeline.processes import num_cores
from pipeline.training.devices import configure_tensorflow
from testing.features import write_cuts
from tests.bases.made_models import MADE, shaken

LARGEST_DIFFERENCE, LARGEST_OF_NETWORK = 1e-6, 1e-4
NUM_IMAGES, FURTHER_PIXELS = 3, 24
MADE_SIZES = (16, 24)
COLUMNS = ("network", "own", "saved", "segment", "export", "chain")


def outputs(model: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns what a model computes in inference."""
    return np.asarray(model(images, training=False), np.float32)


def difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Returns the largest difference as a share of the expected range; infinite without one."""
    spread = float(np.ptp(expected))
    usable = np.isfinite(expected).all() and spread > 0
    return float(np.abs(found - expected).max()) / spread if usable else float("inf")


def copies(base: Any, folder: Path) -> Iterator[tuple[str, Callable[[], Any], Any]]:
    """Yields a name, a function that copies the base, and the model that the copy must equal."""
    import keras

    from pipeline.bases.cuts import PooledCut
    from pipeline.bases.graph import output_of
    from pipeline.bases.user_models import load_own_base
    from pipeline.features.saved_base import load_saved_base, save_base
    from pipeline.training.export import Member, chain, join
    from pipeline.training.segments import cut_segment

    size, top = base.input.shape[1], find_cuts(base)[-1].name
    inputs = keras.Input(base.output.shape[1:])
    x = inputs if len(inputs.shape) == 2 else keras.layers.Flatten()(inputs)
    head = keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(x))
    whole = keras.Sequential([base, head])

    def own() -> Any:
        base.save(folder / "own.keras")
        return load_own_base(
            folder / "own.keras", image_size=size, input_range=(0, 255), name="own"
        )

    def saved() -> Any:
        write_cuts(folder, weights_sha256=weights_sha256(base))
        save_base(base, folder)
        return load_saved_base(folder)

    def segment() -> Any:
        lower = find_cuts(base)[0].name
        part = cut_segment(base, lower, [PooledCut(layer=top)])
        return keras.Model(base.input, part(output_of(base, lower)))

    member = Member(trained=head, cut=top)
    shape = (size, size, 3)
    yield "own", own, base
    yield "saved", saved, base
    yield "segment", segment, base
    yield "export", lambda: join([member], image_shape=shape, image_size=size, base=base), whole
    yield "chain", lambda: chain([base, head]), whole


def compare(base: Any, images: NDArray[np.float32], wanted: Collection[str]) -> dict[str, float]:
    """Returns how far the wanted copies of a base are from it, by the copy's name."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, copied, original in copies(base, Path(folder)):
            if name not in wanted:
                continue
            found[name] = difference(outputs(copied(), images), outputs(original, images))
            gc.collect()
    return found


def of_the_table(name: str, size: int, images: NDArray[np.float32]) -> tuple[Any, float]:
    """Returns a base of the table, and how far it is from Keras' own network."""
    import keras

    spec = BASES[name]
    alpha = min(spec.alphas) if spec.alphas else None
    if not spec.constructor:
        base = load_base(name, image_size=size, weights=RANDOM)
        return shaken(base), 0.0
    constructor = getattr(keras.applications, spec.constructor)
    network = shaken(
        constructor(
            include_top=False,
            weights=None,
            input_shape=(size, size, 3),
            pooling="avg",
            **({} if alpha is None else {"alpha": alpha}),
        )
    )
    scale = sys.modules[constructor.__module__].preprocess_input
    expected = outputs(network, scale(images.copy()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.weights.h5"
        network.save_weights(file)
        del network
        base = load_base(name, image_size=size, weights=str(file), alpha=alpha)
    return base, difference(outputs(base, images), expected)


def made(name: str, size: int, images: NDArray[np.float32]) -> tuple[Any, float]:
    """Returns a flat copy of a made model, and how far it is from the model."""
    import keras

    from pipeline.bases.flat import flat_copy, functional

    model = MADE[name](size)
    inputs = keras.Input((size, size, 3), name="images")
    base = keras.Model(inputs, flat_copy(functional(model), inputs))
    return base, difference(outputs(base, images), outputs(model, images))


def row(name: str, size: int, wanted: Collection[str]) -> bool:
    """Prints the differences of one network at one size; returns whether all are small enough."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    started = time.monotonic()
    images = np.random.default_rng(size).integers(0, 256, (NUM_IMAGES, size, size, 3))
    images = images.astype(np.float32)
    base, network = (made if name in MADE else of_the_table)(name, size, images)
    found = {"network": network, **compare(base, images, wanted)}
    limits = {"network": LARGEST_DIFFERENCE if name in MADE else LARGEST_OF_NETWORK}
    is_right = all(
        value <= limits.get(column, LARGEST_DIFFERENCE) for column, value in found.items()
    )
    values = "".join(
        f"{found[column]:9.0e}" if column in found else f"{'-':>9}" for column in COLUMNS
    )
    spread = float(np.ptp(outputs(base, images)))
    seconds = time.monotonic() - started
    print(
        f"{name:29}{size:5}{spread:10.2e}{values}{seconds:6.0f} s{'' if is_right else '  WRONG'}",
        flush=True,
    )
    del base
    gc.collect()
    return is_right


def main() -> None:
    """Compares the named networks, or all of them, and exits with 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="(default: the whole table)")
    parser.add_argument("--made", action="store_true", help="the made models instead")
    parser.add_argument(
        "--copies", nargs="+", choices=COLUMNS[1:], default=COLUMNS[1:], help="(default: all)"
    )
    args = parser.parse_args()
    configure_tensorflow(num_threads=num_cores())
    titles = "".join(f"{column:>9}" for column in COLUMNS)
    print(f"{'':29} size     range{titles}", flush=True)
    names = args.names or list(MADE if args.made else BASES)
    results = []
    for name in names:
        smallest = None if name in MADE else BASES[name].min_image_size
        sizes = (smallest, smallest + FURTHER_PIXELS) if smallest else MADE_SIZES
        results += [row(name, size, args.copies) for size in sizes]
    print(f"{sum(results)} of {len(results)} rows are right")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
