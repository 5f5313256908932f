"""Stage `embed`: data/train.npz -> data/features/BASE/ (CUT.npy and manifest.json).

Runs each frozen base once over the images of train, val and confirmation, to several cut points in
one pass. `none`, the pixels themselves, is always among the bases.

Run: python -m pipeline embed
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import load_section
from pipeline.data.rows import row_batches, row_shape
from pipeline.errors import ConfigError
from pipeline.models.bases import NO_BASE, load_base
from pipeline.models.cuts import Cut, array_bytes, default_cuts, find_cuts, named_cuts
from pipeline.models.feature_files import ImageSet, write_manifest, write_pixels
from pipeline.models.params import EmbedParams
from pipeline.processes import num_cores

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is kept of one base."""

    name: str
    image_size: int
    base: keras.Model
    kept: list[Cut]
    left_out: list[Cut]


def run(params: EmbedParams, *, train_file: Path, features: Path) -> None:
    """Writes the features of all bases; a base's manifest comes last.

    Args:
        params: The section.
        train_file: From the stage `split`. The test part is in a file that this stage never opens.
        features: A folder of this stage's own: what it held before is removed.

    Raises:
        ConfigError: If the disk is too small, or a cut is unknown or too large.
        DataIntegrityError: If the file is not whole, or an activation does not fit float16.
        SourceError: If the weights of a base are missing.
    """
    images = _open_images(train_file)
    plans = [_plan(name, params, images.num_images) for name in params.bases]
    shutil.rmtree(features, ignore_errors=True)
    _check_disk(plans, images, features)

    def batches() -> Iterator[NDArray[Any]]:
        return row_batches(train_file, "images", batch_size=params.batch_size)

    write_pixels(features / NO_BASE, images, batches())
    for plan in plans:
        _embed_base(plan, images, batches(), folder=features / plan.name)


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    from pipeline.training.devices import configure_tensorflow

    params = load_section(EmbedParams, "embed")
    configure_tensorflow(num_threads=num_cores())
    run(
        params,
        train_file=Path("data/train.npz"),
        features=Path("data/features"),
    )


def _open_images(file: Path) -> ImageSet:
    if not file.is_file():
        raise ConfigError(f"No {file} here. Run the stage `split` first.")
    num_images, *image_shape = row_shape(file, "images")
    is_train = np.zeros(num_images, dtype=bool)
    with np.load(file) as archive:
        is_train[archive["train"]] = True
        # Every class is in every part: `split` refuses a dataset otherwise.
        num_classes = int(archive["labels"].max()) + 1
    return ImageSet(image_shape=tuple(image_shape), num_classes=num_classes, is_train=is_train)


def _plan(name: str, params: EmbedParams, num_images: int) -> _Plan:
    own = params.bases[name]
    base = load_base(name, image_size=own.image_size)
    limits = {"num_images": num_images, "max_bytes": params.max_bytes}
    left_out: list[Cut] = []
    if own.cuts == "auto":
        kept, left_out = default_cuts(find_cuts(base), **limits)
    else:
        where = f"embed.bases.{name}.cuts"
        kept = named_cuts(find_cuts(base), own.cuts, **limits, where=where)
    if not kept:
        top = array_bytes(left_out[-1:], num_images)
        raise ConfigError(
            f"embed.max_bytes must leave room for one cut of {name}; its top takes {top:,} bytes. "
            f"Received: max_bytes={params.max_bytes}."
        )
    return _Plan(name=name, image_size=own.image_size, base=base, kept=kept, left_out=left_out)


def _check_disk(plans: list[_Plan], images: ImageSet, features: Path) -> None:
    features.mkdir(parents=True, exist_ok=True)
    pixels = images.num_images * int(np.prod(images.image_shape))
    needed = pixels + sum(array_bytes(plan.kept, images.num_images) for plan in plans)
    free = shutil.disk_usage(features).free
    logger.info("%s will take %s of %s free", features, _size(needed), _size(free))
    if needed > free:
        raise ConfigError(
            f"{features} needs {_size(needed)} of disk, and {_size(free)} are free. Free some, or "
            "lower embed.max_bytes."
        )
    for plan in plans:
        logger.info("%s: %s", plan.name, _listed(plan.kept, images))
        if plan.left_out:
            logger.info(
                "%s: left out, beyond embed.max_bytes: %s",
                plan.name,
                _listed(plan.left_out, images),
            )


def _embed_base(
    plan: _Plan, images: ImageSet, batches: Iterable[NDArray[Any]], *, folder: Path
) -> None:
    from tqdm import tqdm

    from pipeline.models.embedding import embed_images
    from pipeline.models.weights import weights_sha256

    start, total = time.perf_counter(), images.num_images
    with tqdm(total=total, desc=plan.name, unit="image", file=sys.stderr, disable=None) as bar:
        moments = embed_images(
            plan.base,
            plan.kept,
            batches,
            image_size=plan.image_size,
            is_train=images.is_train,
            folder=folder,
            progress=bar.update,
        )
    write_manifest(
        folder,
        images,
        moments,
        base=plan.name,
        image_size=plan.image_size,
        weights_sha256=weights_sha256(plan.base),
        kept=plan.kept,
        left_out=plan.left_out,
    )
    seconds = time.perf_counter() - start
    logger.info("%s: %.0f s, %.0f images/s", plan.name, seconds, total / seconds)


def _listed(cuts: list[Cut], images: ImageSet) -> str:
    sizes = [array_bytes([cut], images.num_images) for cut in cuts]
    return ", ".join(
        f"{cut.name} {'x'.join(map(str, cut.shape))} ({_size(size)})"
        for cut, size in zip(cuts, sizes, strict=True)
    )


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
