"""The datasets that `fetch` knows.

Readers are imported when they read: `check` knows the datasets' names without NumPy.

To add a public one, write a `DatasetSpec` with its files, their SHA-256 and a reader; if its format
is new, the reader goes into a module of its own. Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.data.fetch_params import FetchParams
    from pipeline.data.labelled import LabelledImages


@dataclass(frozen=True)
class SourceFile:
    """A published file: its name wherever it lies, SHA-256 in 64 hex digits, and size."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class PublicFiles:
    """The files of a public dataset and where they are published.

    Attributes:
        folder: The sub-folder of a mirror in which they may lie; flat is fine too.
        files: The files that the dataset is read from; all are needed.
        addresses: http or https folders, each ending in a slash, that hold the files by name.
        archive: A tar file that holds them all, or None.
        archive_addresses: Folders that hold the archive by name.
        debian_package: A Debian package that holds them all, or None.
    """

    folder: str
    files: tuple[SourceFile, ...]
    addresses: tuple[str, ...] = ()
    archive: SourceFile | None = None
    archive_addresses: tuple[str, ...] = ()
    debian_package: str | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """One dataset.

    Attributes:
        title: What it is, in a few words.
        license: Terms of its images.
        read: Decodes it, given the section `fetch`, the verified files of a public dataset by name,
            and a folder for what does not fit into memory.
        public: Its files and their sources; None if the images are on this machine.
        is_own: Whether it is the user's, so that its key says how it is read and not what it is.
    """

    title: str
    license: str
    read: Callable[[FetchParams, Mapping[str, Path], Path], LabelledImages]
    public: PublicFiles | None = None
    is_own: bool = False


def _read_digits(params: FetchParams, files: Mapping[str, Path], scratch: Path) -> LabelledImages:
    import numpy as np
    from sklearn.datasets import load_digits

    from pipeline.data.labelled import LabelledImages, undivided

    digits = load_digits()
    return LabelledImages(
        # Grey levels of 0..16 there, 0..255 everywhere here.
        images=np.round(digits.images * (255 / 16)).astype(np.uint8),
        labels=digits.target.astype(np.int64),
        parts=undivided(len(digits.target)),
        class_names=tuple(str(name) for name in digits.target_names),
    )


def _read_fashion(params: FetchParams, files: Mapping[str, Path], scratch: Path) -> LabelledImages:
    from pipeline.data.readers.idx import read_mnist_files

    names = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
    return read_mnist_files(files, class_names=tuple(names.split(",")))


def _read_cifar10(params: FetchParams, files: Mapping[str, Path], scratch: Path) -> LabelledImages:
    from pipeline.data.readers.cifar import read_cifar_files

    return read_cifar_files(files)


def _read_folder(params: FetchParams, files: Mapping[str, Path], scratch: Path) -> LabelledImages:
    from pipeline.data.readers.folder import read_folder

    return read_folder(params, scratch)


def _read_npz(params: FetchParams, files: Mapping[str, Path], scratch: Path) -> LabelledImages:
    from pipeline.data.readers.npz import read_npz

    return read_npz(Path(params.path))


def _files(lines: str) -> tuple[SourceFile, ...]:
    """Reads a table of files: SHA-256, bytes and name."""
    rows = (line.split() for line in lines.strip().splitlines())
    return tuple(SourceFile(name, sha256, int(size)) for sha256, size, name in rows)


_FASHION_MNIST = PublicFiles(
    folder="fashion-mnist",
    files=_files("""
b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7 26421856 train-images-idx3-ubyte.gz
0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056 29491 train-labels-idx1-ubyte.gz
cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa 4422079 t10k-images-idx3-ubyte.gz
8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05 5125 t10k-labels-idx1-ubyte.gz
"""),
    # The first is plain http: what arrives is checked against the hashes above either way.
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    debian_package="dataset-fashion-mnist",
)

_CIFAR10_ARCHIVE, *_CIFAR10_FILES = _files("""
6d958be074577803d12ecdefd02955f39262c83c16fe9320329d7fe0b5c001ce 170498071 cifar-10-python.tar.gz
54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd 31035704 data_batch_1
766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8 31035320 data_batch_2
0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9 31035999 data_batch_3
3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b 31035696 data_batch_4
d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154 31035623 data_batch_5
f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831 31035526 test_batch
f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb 158 batches.meta
""")
_CIFAR10 = PublicFiles(
    folder="cifar-10-batches-py",
    files=tuple(_CIFAR10_FILES),
    archive=_CIFAR10_ARCHIVE,
    archive_addresses=("https://www.cs.toronto.edu/~kriz/",),
)

DATASETS: dict[str, DatasetSpec] = {
    "fashion_mnist": DatasetSpec(
        title="70,000 gray images of clothes, 28x28, 10 classes (Xiao, Rasul, Vollgraf 2017)",
        license="MIT",
        read=_read_fashion,
        public=_FASHION_MNIST,
    ),
    "cifar10": DatasetSpec(
        title="60,000 colour photographs, 32x32, 10 classes (Krizhevsky 2009)",
        license="none stated; free for research, please cite",
        read=_read_cifar10,
        public=_CIFAR10,
    ),
    "digits": DatasetSpec(
        title="1,797 gray handwritten digits, 8x8, 10 classes, bundled with scikit-learn",
        license="CC BY 4.0 (UCI Machine Learning Repository, Alpaydin and Kaynak 1998)",
        read=_read_digits,
    ),
    "folder": DatasetSpec(
        title="your own images, by class folders or a table of labels below fetch.path",
        license="yours",
        read=_read_folder,
        is_own=True,
    ),
    "npz": DatasetSpec(
        title="your own arrays, in fetch.path or in images.npz below it",
        license="yours",
        read=_read_npz,
        is_own=True,
    ),
}


def names_of_others(dataset: str) -> list[str]:
    """Returns the data sets of this project's own names that are not `dataset`, a key of these."""
    return [name for name, spec in DATASETS.items() if not spec.is_own and name != dataset]
