"""Decides what `embed` computes of a base: which cuts, of which rows, kept how."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.choice import Fetch, open_base
from pipeline.bases.cuts import Cut, find_cuts
from pipeline.bases.table import BaseSource, preprocessing
from pipeline.data.rows import row_batches
from pipeline.features.arrays import ImageSet
from pipeline.features.joined_cuts import kept_cuts
from pipeline.features.keys import array_keys
from pipeline.features.params import EmbedParams
from pipeline.features.views import View, expand

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BasePlan:
    """What is kept of one base.

    Attributes:
        name: Of the base, and of its folder.
        image_size: What it is fed with, pixels.
        base: The network.
        source: Where it came from.
        front: The layers that bring images to it.
        kept: Cuts as they are kept, from `features.joined_cuts` if they are named.
        views: Further versions of the training images, in the order of their rows.
        num_rows: Of each array.
        keys: Of the kept cuts, from `features.keys`.
        ranks: Of the cuts that a head may stand on, their places in the list; empty where `starts`
            sets none apart from them.
    """

    name: str
    image_size: int
    base: "keras.Model"
    source: BaseSource
    front: "keras.Model"
    kept: list[Cut]
    views: list[View]
    num_rows: int
    keys: Mapping[str, str]
    ranks: Mapping[str, int]


def plan_base(
    name: str,
    params: EmbedParams,
    images: ImageSet,
    *,
    images_sha256: str,
    fetch: Fetch,
) -> BasePlan:
    """Loads a base and decides what is kept of it.

    Args:
        name: A key of `embed.bases`.
        params: The section, with nothing left to the plan.
        images: What is embedded.
        images_sha256: From `features.keys`.
        fetch: Brings a registered model to this machine.

    Raises:
        ConfigError: If a cut is unknown, cannot be pooled, or is too large.
        SourceError: If the weights of the base are missing.
    """
    own = params.bases[name]
    choice = own.choice(name)
    opened = open_base(choice, fetch=fetch)
    base = opened.model
    logger.info("%s is %s", name, opened.source)
    front = preprocessing(images.image_shape, choice.image_size)
    views = expand(own.views_wanted, images.num_train)
    num_rows = len(images.rows(len(views)))
    kept = kept_cuts(
        find_cuts(base),
        own.names_kept,
        own.pooling,
        num_images=num_rows,
        max_bytes=params.max_bytes,
        where=f"embed.bases.{name}",
    )
    return BasePlan(
        name=name,
        image_size=choice.image_size,
        base=base,
        source=opened.source,
        front=front,
        kept=kept,
        views=views,
        num_rows=num_rows,
        ranks={} if own.starts is None else {cut: rank for rank, cut in enumerate(own.cuts)},
        keys=array_keys(
            base,
            front,
            kept,
            images=images_sha256,
            views=[view.settings for view in views],
            batch_size=params.batch_size,
        ),
    )


def row_images(
    train_file: Path, plan: BasePlan, images: ImageSet, *, batch_size: int
) -> Iterator[NDArray[Any]]:
    """Yields what the rows of a base's arrays are made from: all images, then view by view.

    Each view reads the file again, so that no more than a batch is ever in memory.
    """
    yield from row_batches(train_file, "images", batch_size=batch_size)
    for view in plan.views:
        start, position = 0, 0
        for batch in row_batches(train_file, "images", batch_size=batch_size):
            train = batch[images.is_train[start : start + len(batch)]]
            start += len(batch)
            if len(train):
                yield view.make(train, np.arange(position, position + len(train)))
            position += len(train)
