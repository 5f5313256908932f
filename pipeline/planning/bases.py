"""Chooses what an entry of `embed.bases` leaves open."""

import logging
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.bases.choice import Fetch, open_base
from pipeline.bases.cuts import (
    BESIDE,
    BYTES_PER_VALUE,
    NO_POOLING,
    POOLED,
    Cut,
    array_bytes,
    find_cuts,
)
from pipeline.bases.table import BASES
from pipeline.errors import ConfigError
from pipeline.features.frozen import TENSORFLOW, freeze
from pipeline.features.joined_cuts import kept_cuts
from pipeline.features.params import AUTO, BaseParams
from pipeline.planning.choice import Choice
from pipeline.planning.choose import MOST_SPEEDUP, Chooser
from pipeline.planning.heads import Head
from pipeline.planning.limits import EPOCHS, MOST_OF_A_CUT, Limits, as_many_steps
from pipeline.planning.params import PlanParams
from pipeline.planning.probe import Probe, parts_of, probed_cuts
from pipeline.planning.sample import Sample
from pipeline.planning.starts import FINE_TUNING_SHARE, start_of
from pipeline.processes import num_cores

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


class PlannedBase:
    """An entry of `embed.bases` and what is chosen for it.

    Args:
        name: The entry's.
        own: The entry, of which something is `auto`.
        sample: Of the training part.
        limits: Of time and bytes.
        params: What `auto` may become.
        fetch: Brings a registered model to this machine.

    Raises:
        ConfigError: If the base cannot be used.
        SourceError: If its weights are missing.
    """

    def __init__(
        self,
        name: str,
        own: BaseParams,
        sample: Sample,
        limits: Limits,
        params: PlanParams,
        *,
        fetch: Fetch,
    ) -> None:
        self._name, self._own, self._sample, self._limits = name, own, sample, limits
        self._fetch = fetch
        self._cuts: dict[tuple[str, int], list[Cut]] = {}
        self._bases: dict[tuple[str, int], keras.Model] = {}
        self._num_given = 0 if isinstance(own.views, str) else own.views.num_views
        self._num_trained = sample.num_train * (1 + self._num_given)
        self._num_rows = sample.num_images + sample.num_train * self._num_given
        self._most_features = limits.num_features(self._num_trained, num_rows=self._num_rows)
        chooser = Chooser(
            self._probe,
            limits,
            num_rows=self._num_rows,
            num_train=sample.num_train,
            num_probed=len(sample.labels),
            most_features=self._most_features,
            own_size=min(sample.images.shape[1:3]),
        )
        wanted = params.models if own.model == AUTO else [own.model or name]
        sizes = params.image_sizes if isinstance(own.image_size, str) else [own.image_size]
        sizes_of = {model: self._sizes(model, sizes) for model in wanted}
        self.choice: Choice = chooser.choose(
            sizes_of,
            asks_views=own.views == AUTO,
            is_room=None if own.cuts == AUTO else self._is_room,
        )
        # Where the cuts are given, so are the starts.
        self._chosen_start = self._settled_start() if own.cuts == AUTO else None

    def entry(self) -> dict[str, object]:
        """Returns the keys that were open, each with what it becomes."""
        chosen = self.choice.chosen
        cuts = [cut_of(head) for head in self.choice.heads]
        found = {
            "model": chosen.model,
            "image_size": chosen.image_size,
            "cuts": cuts,
            "views": {"hflip": self.choice.is_mirrored},
        }
        entry = {key: value for key, value in found.items() if getattr(self._own, key) == AUTO}
        if "cuts" in entry:
            start = self._chosen_start
            entry["starts"] = [] if start is None or start in cuts else [start]
        return entry

    @property
    def num_epochs(self) -> int:
        """Most epochs of a whole training on the widest head; the usual ones on cuts of a user.

        Over mirrored images that the plan adds it is as many steps; views of a user's add some.
        """
        epochs = EPOCHS
        if self._own.cuts == AUTO:
            widest = max(head.num_features for head in self.choice.heads)
            epochs = self._limits.num_epochs(widest, self._num_trained)
        num_added = self.num_views - self._num_given
        return round(as_many_steps(epochs, self._sample.num_train, num_added))

    @property
    def num_rows(self) -> int:
        """What is embedded: the images, and views."""
        return self._sample.num_images + self._sample.num_train * self.num_views

    @property
    def num_views(self) -> int:
        """How many views there are of each training image, given or chosen."""
        return int(self.choice.is_mirrored) if self._own.views == AUTO else self._num_given

    def _sizes(self, model: str, image_sizes: Sequence[int]) -> Sequence[int]:
        """Returns the sizes that a base takes and at which the arrays of given cuts fit.

        Raises:
            ConfigError: If there is none, or a given cut is none of the base.
        """
        taken = _sizes_taken(model, image_sizes)
        if self._own.cuts == AUTO:
            return taken
        smallest, *larger = taken
        self._given_cuts(model, smallest, self._num_rows, max_bytes=self._limits.max_bytes)
        num_fitting = bisect_left(
            larger, True, key=lambda size: not self._is_room(model, size, self._num_rows)
        )
        return taken[: 1 + num_fitting]

    def _is_room(self, model: str, image_size: int, num_rows: int) -> bool:
        cuts = self._given_cuts(model, image_size, num_rows, max_bytes=sys.maxsize)
        return array_bytes(cuts, num_rows) <= self._limits.max_bytes

    def _given_cuts(
        self, model: str, image_size: int, num_rows: int, *, max_bytes: int
    ) -> list[Cut]:
        cuts = find_cuts(self._opened(model, image_size))
        own, limits = self._own, {"num_images": num_rows, "max_bytes": max_bytes}
        where = f"embed.bases.{self._name}"
        return kept_cuts(cuts, own.names_kept, own.pooling, **limits, where=where)

    def _opened(self, model: str, image_size: int) -> "keras.Model":
        key = model, image_size
        if key not in self._bases:
            own = self._own.model_copy(update={"model": model, "image_size": image_size})
            self._bases[key] = open_base(own.choice(self._name), fetch=self._fetch).model
        return self._bases[key]

    def _probe(
        self,
        model: str,
        image_size: int,
        *,
        num_images: int,
        most_seconds: float,
        seconds: float,
        is_converted: bool,
    ) -> Probe:
        from pipeline.bases.table import preprocessing
        from pipeline.features.embed import network_to_cuts

        base, sample = self._opened(model, image_size), self._sample
        cuts = self._cuts[model, image_size] = probed_cuts(base, self._own.layers)
        parts = parts_of(cuts, most_features=min(self._most_features, MOST_OF_A_CUT))
        images = sample.images[:num_images]
        network = network_to_cuts(
            base,
            [part.feed for part in parts],
            front=preprocessing(images.shape[1:], image_size),
        )
        return Probe(
            freeze(
                network,
                images,
                num_images=self._num_rows,
                engine=None if is_converted else TENSORFLOW,
            ),
            parts,
            images,
            sample.labels[:num_images],
            most_seconds=most_seconds,
            seconds=seconds,
        )

    def _start(self) -> str | None:
        """Returns the whole cut that phase 2 of the best head starts from, if there is room.

        The time is that of the lectures' procedure, which trains the one or two upper layers for
        `FINE_TUNING_SHARE` of the epochs: nearly all of it goes to the frozen layers below. A whole
        segment takes up to three times as long, a larger share of the epochs twice.
        """
        heads, chosen = self.choice.heads, self.choice.chosen
        key = chosen.model, chosen.image_size
        start = start_of(self._bases[key], self._cuts[key], heads)
        if start is None:
            return None
        if start.cut.name in {cut_of(head) for head in heads}:
            return start.cut.name
        # In phase 2 an epoch goes over each row once.
        num_trained = self._sample.num_train * (1 + self.num_views)
        num_epochs = max(1, round(FINE_TUNING_SHARE * self.num_epochs))
        # Trained is in TensorFlow, whatever embeds.
        per_image = chosen.seconds_per_image * (MOST_SPEEDUP if chosen.is_converted else 1.0)
        seconds = num_trained * num_epochs * per_image * num_cores() * start.share
        if seconds > self._limits.trial_seconds:
            logger.info(
                "%s: phase 2 does not start from %s, which would take a trial %d s; a larger "
                "`budget` has room for it",
                *(self._name, start.cut.name, seconds),
            )
            return None
        num_values = sum(head.num_features for head in heads)
        needed = self.num_rows * (start.cut.bytes_per_image + BYTES_PER_VALUE * num_values)
        if needed > self._limits.max_bytes:
            logger.info(
                "%s: phase 2 does not start from %s, which does not fit embed.max_bytes beside the "
                "heads' features; %d would do",
                *(self._name, start.cut.name, needed),
            )
            return None
        return start.cut.name

    def _settled_start(self) -> str | None:
        """Returns the start; takes no mirrored images where there is one only without them.

        It is a whole cut, which heads may stand on, too. On Fashion-MNIST the best heads of two
        runs all did: 0.9508 of the confirmation part, on the cuts that mirrored images would leave
        room for 0.9474 (0be270f, 2026-11-30). Mirrored images are worth -0.3 to 0.7 points
        (`planning.choose.MIRROR_GAIN`).
        """
        mirrored, start = self.choice, self._start()
        if start is None and mirrored.is_mirrored:
            self.choice = replace(mirrored, is_mirrored=False, heads=mirrored.plain_heads)
            start = self._start()
            if start is None:
                self.choice = mirrored
            else:
                logger.info("%s: no mirrored images, so that phase 2 has a start", self._name)
        return start


def _sizes_taken(model: str, image_sizes: Sequence[int]) -> list[int]:
    """Returns the sizes that a base of the table takes, or all of a model of one's own.

    Raises:
        ConfigError: If there is none.
    """
    smallest = BASES[model].min_image_size if model in BASES else 1
    taken = [size for size in image_sizes if size >= smallest]
    if not taken:
        raise ConfigError(
            f"plan.image_sizes must hold one of {smallest} pixels or more for {model}. Received: "
            f"{', '.join(map(str, image_sizes))}."
        )
    return taken


def cut_of(head: Head) -> str:
    """Returns what a head stands on, as `embed.bases.NAME.cuts` names it."""
    alone = len(head.parts) == 1
    return BESIDE.join(
        part.cut if alone and part.pooling == NO_POOLING else f"{part.cut}{POOLED}{part.pooling}"
        for part in head.parts
    )
