"""Does an exported model answer raw images as its head answers the features in the cache?

For each base: `embed` what `auto` keeps, train a head on each cut for a few epochs, export it, and
compare the exported file on the raw images with the head on the cached features. They differ by the
cache's rounding to float16. Bases are efficientnet_lite0 and MobileNet of a quarter of the width,
its weights from a file or, with `--weights imagenet`, from $KERAS_HOME/models. Images are digits
and two photographs in pieces, or those of an .npz file with `images` and `labels`. `right` is of
the images that were trained on.

Run: python -m benchmarks.base_export --weights FILE [--images FILE.npz] [--num-images 1000]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from pipeline.bases.cuts import default_cuts, find_cuts
from pipeline.bases.load import load_base
from pipeline.bases.model_files import weights_sha256
from pipeline.bases.table import preprocessing
from pipeline.config import read_document
from pipeline.features.arrays import Rows
from pipeline.processes import num_cores
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.devices import configure_tensorflow

ROOT = Path(__file__).parents[1]
IMAGE_SIZE = 64
PIECE = 32
EPOCHS, SEED = 5, 1


def own_images() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns gray digits, and pieces of two photographs with the photograph as their class."""
    from sklearn.datasets import load_digits, load_sample_images

    digits, rng, pieces, labels = load_digits(), np.random.default_rng(SEED), [], []
    for label, photo in enumerate(load_sample_images().images):
        height, width, _ = photo.shape
        for _ in range(500):
            top, left = rng.integers(height - PIECE), rng.integers(width - PIECE)
            pieces.append(photo[top : top + PIECE, left : left + PIECE])
            labels.append(label)
    order = rng.permutation(len(pieces))
    photographs = np.array(pieces)[order], np.array(labels)[order]
    gray = (digits.images * 15).astype(np.uint8), digits.target
    return {"digits": gray, "photographs": photographs}


def trained_head(features: np.ndarray, labels: np.ndarray, array):
    """Returns a head of params.yaml's defaults after a few epochs."""
    import keras

    from pipeline.training.head import build_head

    defaults = completed({}, SearchSpace({}, read_document(ROOT / "params.yaml")["defaults"]))
    settings = {"mean": array.mean, "variance": array.variance, "seed": SEED}
    head = build_head(features.shape[1:], int(labels.max()) + 1, defaults, **settings)
    head.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    head.fit(features, labels, epochs=EPOCHS, verbose=0)
    return head


def compare(base, images: np.ndarray, labels: np.ndarray, folder: Path) -> None:
    """Prints, for each cut that `auto` keeps, how far the two ways are apart."""
    from pipeline.features.embed import embed_images, network_to_cuts
    from pipeline.features.frozen import freeze
    from pipeline.training.export import Member, export, load_exported, predict_probabilities

    shape, size = images.shape[1:], base.input.shape[1]
    rows = Rows(images=np.arange(len(images)), is_counted=np.ones(len(images), dtype=bool))
    cuts = default_cuts(find_cuts(base))
    network = network_to_cuts(base, [cut.feed for cut in cuts], front=preprocessing(shape, size))
    arrays = embed_images(
        freeze(network, images, num_images=len(images)),
        cuts,
        np.array_split(images, -(-len(images) // 256)),
        rows=rows,
        folder=folder,
        progress=id,
    )
    for cut in cuts:
        centre = np.array(arrays[cut.name].centre, dtype=np.float32)
        features = np.load(folder / f"{cut.name}.npy").astype(np.float32) + centre
        head = trained_head(features, labels, arrays[cut.name])
        member = Member(trained=head, cut=cut.name)
        export(folder / "model.keras", [member], image_shape=shape, image_size=size, base=base)
        raw = predict_probabilities(load_exported(folder / "model.keras"), images)
        cached = head.predict(features, verbose=0)
        found, expected = raw.argmax(axis=1), cached.argmax(axis=1)
        print(
            f"  {cut.name:16} largest difference {np.abs(raw - cached).max():.1e}, equal classes "
            f"{(found == expected).mean():.2%}, right {(expected == labels).mean():.1%}"
        )


def main() -> None:
    """Compares both bases on each set of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="of MobileNet 0.25: a file, or imagenet")
    parser.add_argument("--images", type=Path, help="an .npz file (default: scikit-learn's)")
    parser.add_argument("--num-images", type=int, default=1000)
    args = parser.parse_args()
    configure_tensorflow(num_threads=num_cores())
    sets = own_images()
    if args.images:
        with np.load(args.images) as archive:
            sets = {args.images.name: (archive["images"], archive["labels"])}
    bases = {"efficientnet_lite0": {}, "mobilenet": {"weights": args.weights, "alpha": 0.25}}
    for name, settings in bases.items():
        base = load_base(name, image_size=IMAGE_SIZE, **settings)
        for title, (images, labels) in sets.items():
            images, labels = images[: args.num_images], labels[: args.num_images]
            print(f"{name} {weights_sha256(base)[:12]} on {title}, {images.shape}")
            with tempfile.TemporaryDirectory() as folder:
                compare(base, images, labels, Path(folder))


if __name__ == "__main__":
    main()
