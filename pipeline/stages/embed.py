"""Stage `embed`: data/train.npz -> data/features/BASE/ (CUT.npy and manifest.json).

Runs each frozen base once over the images of train, val and confirmation, and over the views of
those of train, to several cut points in one pass. Arrays of earlier runs that still hold are taken
from `data/cache/features`. `none`, the pixels themselves, is always among the bases.

Run: python -m pipeline embed
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import Cut, array_bytes
from pipeline.bases.table import NO_BASE
from pipeline.clock import Clock
from pipeline.config import load_section
from pipeline.data.rows import row_batches, row_shape, whole_array
from pipeline.errors import ConfigError
from pipeline.features.arrays import ROW_IMAGES, ImageSet, size_text, write_row_images
from pipeline.features.frozen import COMPARED_IMAGES, freeze
from pipeline.features.keys import engine_key, images_sha256
from pipeline.features.manifest import EmbeddedCut, Manifest, write_manifest
from pipeline.features.memory import FLOAT32_BYTES
from pipeline.features.params import FEATURES, EmbedParams
from pipeline.features.pixels import pixels_bytes, size_of_pixels, write_pixels
from pipeline.features.reuse import STORE, Arrays, ArrayStore
from pipeline.features.selection import BasePlan, plan_base, row_images
from pipeline.plan_record import PLAN_FILE
from pipeline.planning.plan import with_plan
from pipeline.processes import num_cores
from pipeline.steps import step
from pipeline.workspace import store_root

if TYPE_CHECKING:
    from pipeline.records.model_registry.registered_file import RegisteredFile

logger = logging.getLogger(__name__)

TRAIN_FILE = Path("data/train.npz")
# A file's rows at a time, where no network runs over them.
IMAGES_READ = 256
# The least that `fetch` warns of, too.
MOST_SHRUNK = 2


def run(
    params: EmbedParams,
    *,
    train_file: Path,
    features: Path,
    store: Path,
) -> None:
    """Writes the features of all bases; a base's manifest comes last.

    An array of an earlier run is taken if all that it depends on is the same and its file is whole;
    only the others are computed. Each is in the store as soon as it is whole.

    Args:
        params: The section.
        train_file: From the stage `split`. The test part is in a file that this stage never opens.
        features: A folder of this stage's own: what it held before is removed.
        store: Where arrays of earlier runs lie, and those of this run are kept for later ones. What
            no manifest in `features` names stays up to `max_bytes` of the section.

    Raises:
        ConfigError: If the disk is too small, or a cut is unknown or too large.
        DataIntegrityError: If the file is not whole, or an activation does not fit float16.
        SourceError: If the weights of a base are missing.
    """

    def pixels() -> Iterator[NDArray[Any]]:
        return row_batches(train_file, "images", batch_size=IMAGES_READ)

    images = _open_images(train_file)
    digest = images_sha256(pixels(), images.is_train)
    plans = [
        plan_base(name, params, images, images_sha256=digest, fetch=_fetch) for name in params.bases
    ]
    _empty(features)
    kept = ArrayStore(store)
    there = {plan.name: kept.take(plan.keys, features / plan.name) for plan in plans}
    pixels_size = size_of_pixels(images, most=params.pixels_size)
    for plan in plans:
        _log_size(plan, images)
    _check_disk(plans, there, features, of_pixels=pixels_bytes(images, pixels_size))
    write_pixels(features / NO_BASE, images, pixels(), image_size=pixels_size)
    source = _Source(train_file=train_file, images=images, batch_size=params.batch_size)
    for plan in plans:
        folder = features / plan.name
        _embed_base(plan, source, folder=folder, arrays=there[plan.name], store=kept)
    kept.trim(features, most_bytes=params.max_bytes)


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    params = load_section(EmbedParams, "embed")
    _check_there(TRAIN_FILE)
    params = with_plan(params, PLAN_FILE)
    # After the refusals, which should not wait for TensorFlow to load.
    from pipeline.training.devices import configure_tensorflow

    configure_tensorflow(num_threads=num_cores())
    store = store_root(Path.cwd()) / STORE
    # Where the same is embedded again, as after a larger budget, what it took before counts.
    described = json.dumps(params.model_dump(mode="json"), sort_keys=True)
    key = hashlib.sha256(described.encode()).hexdigest()
    with Clock(Path.cwd(), None).running("embed", key=key):
        run(params, train_file=TRAIN_FILE, features=FEATURES, store=store)


def _check_there(file: Path) -> None:
    if not file.is_file():
        raise ConfigError(f"No {file} here. Run the stage `split` first.")


def _empty(folder: Path) -> None:
    """Removes all that a folder holds; where files are links, what they lead to stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _open_images(file: Path) -> ImageSet:
    _check_there(file)
    num_images, *image_shape = row_shape(file, "images")
    is_train = np.zeros(num_images, dtype=bool)
    is_train[whole_array(file, "train")] = True
    # Every class is in every part: `split` refuses a dataset otherwise.
    num_classes = int(whole_array(file, "labels").max()) + 1
    return ImageSet(image_shape=tuple(image_shape), num_classes=num_classes, is_train=is_train)


def _log_size(plan: BasePlan, images: ImageSet) -> None:
    """Says what a base is fed with, and warns where that loses much of the images."""
    height, width = images.image_shape[:2]
    if plan.image_size == height == width:
        return
    is_loss = min(height, width) > MOST_SHRUNK * plan.image_size
    logger.log(
        logging.WARNING if is_loss else logging.INFO,
        "%s%s: images of %dx%d pixels are brought to %dx%d%s; embed.bases.%s.image_size sets it",
        *("WARNING: " if is_loss else "", plan.name, height, width),
        *(plan.image_size, plan.image_size),
        ", so that what is small in them is lost" if is_loss else "",
        plan.name,
    )


def _fetch(uri: str) -> AbstractContextManager[RegisteredFile]:
    # Only a base from the registry needs what reaches MLflow's store.
    from pipeline.records.model_registry.registered_file import registered_file

    return registered_file(Path.cwd(), uri, asked_by="model")


def _check_disk(
    plans: Sequence[BasePlan],
    there: Mapping[str, Arrays],
    features: Path,
    *,
    of_pixels: int,
) -> None:
    needed = of_pixels
    for plan in plans:
        new = [cut for cut in plan.kept if cut.name not in there[plan.name]]
        needed += array_bytes(new, plan.num_rows) + FLOAT32_BYTES * plan.base.count_params()
    free = shutil.disk_usage(features).free
    logger.info("%s will take %s of %s free", features, size_text(needed), size_text(free))
    if needed > free:
        raise ConfigError(
            f"{features} needs {size_text(needed)} of disk, and {size_text(free)} are free. "
            "Free some, such as with `python -m pipeline gc --yes`, or lower embed.max_bytes."
        )
    for plan in plans:
        logger.info("%s: %s", plan.name, _listed(plan.kept, plan))


@dataclass(frozen=True, kw_only=True)
class _Source:
    """What is embedded, and how much of it at a time."""

    train_file: Path
    images: ImageSet
    batch_size: int | Literal["auto"]


def _embed_base(
    plan: BasePlan, source: _Source, *, folder: Path, arrays: Arrays, store: ArrayStore
) -> None:
    """Computes the arrays that are not there yet, keeps them, and describes all."""
    from pipeline.bases.model_files import weights_sha256
    from pipeline.features.saved_base import save_base

    missing = [cut for cut in plan.kept if cut.name not in arrays]
    if len(missing) < len(plan.kept):
        kept = [cut for cut in plan.kept if cut.name in arrays]
        logger.info("%s: kept from earlier runs: %s", plan.name, _listed(kept, plan))
    if missing:
        computed = _compute(plan, missing, source, folder=folder)
        store.keep(computed, folder)
        arrays = arrays | computed
    save_base(plan.base, folder)
    images = source.images
    if plan.views:
        write_row_images(folder, images.rows(len(plan.views)))
    manifest = Manifest(
        base=plan.name,
        image_size=plan.image_size,
        weights_sha256=weights_sha256(plan.base),
        image_shape=images.image_shape,
        num_images=images.num_images,
        num_classes=images.num_classes,
        cuts={cut.name: _entry(plan, cut, arrays) for cut in plan.kept},
        source=plan.source,
        views=tuple(view.settings for view in plan.views),
        num_rows=plan.num_rows if plan.views else None,
        row_images=ROW_IMAGES if plan.views else None,
    )
    write_manifest(manifest, folder)


def _compute(plan: BasePlan, cuts: Sequence[Cut], source: _Source, *, folder: Path) -> Arrays:
    from pipeline.features.embed import embed_images, network_to_cuts

    file, total = source.train_file, plan.num_rows
    network = freeze(
        network_to_cuts(plan.base, [cut.feed for cut in cuts], front=plan.front),
        next(row_batches(file, "images", batch_size=COMPARED_IMAGES)),
        num_images=total,
        size_of_batch=None if source.batch_size == "auto" else source.batch_size,
    )
    start = time.perf_counter()
    with step(plan.name, total=total, unit="images") as one:
        arrays = embed_images(
            network,
            cuts,
            row_images(file, plan, source.images, batch_size=network.batch_size),
            rows=source.images.rows(len(plan.views)),
            folder=folder,
            progress=one.advance,
        )
    seconds = time.perf_counter() - start
    logger.info(
        "%s: %.0f s, %.0f images/s in %s, %d at a time",
        *(plan.name, seconds, total / seconds, network.engine, network.batch_size),
    )
    return {
        name: (engine_key(plan.keys[name], network.engine), array) for name, array in arrays.items()
    }


def _entry(plan: BasePlan, cut: Cut, arrays: Arrays) -> EmbeddedCut:
    key, array = arrays[cut.name]
    return EmbeddedCut.of(cut, array, key=key, rank=plan.ranks.get(cut.name))


def _listed(cuts: Sequence[Cut], plan: BasePlan) -> str:
    sizes = [array_bytes([cut], plan.num_rows) for cut in cuts]
    return ", ".join(
        f"{cut.name} {'x'.join(map(str, cut.shape))} ({size_text(size)})"
        for cut, size in zip(cuts, sizes, strict=True)
    )
