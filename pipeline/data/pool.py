"""The images that are in no part yet, which repeat each other, and drawing parts from them."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labelled import LabelledImages
from pipeline.data.near_copies import near_pairs
from pipeline.errors import ConfigError
from pipeline.seeds import derive_seed

Indices = NDArray[np.int64]


class Pool:
    """What is left of a dataset, without copies and near copies of what was taken.

    Draws are made as if near copies were none; what must not be in the part is then replaced by
    another image of its class. So a near copy changes one image of a split, and not all draws.

    Args:
        data: The dataset that is divided, with the parts that it brings.
        deduplicate: Whether there are copies and near copies at all.
        seed: Seed that every draw is derived from, >= 0.

    Attributes:
        is_free: Whether an image is still to be had, shape (n,).
        is_drawable: Whether it would be if near copies were none, shape (n,).
        taken: The indices of each part, sorted.
    """

    def __init__(self, data: LabelledImages, *, deduplicate: bool, seed: int) -> None:
        self.is_free = np.ones(len(data.labels), bool)
        self.is_drawable = self.is_free.copy()
        self.taken: dict[str, Indices] = {}
        self._data = data
        self._seed = seed
        self._ids = content_ids(data.images) if deduplicate else np.arange(len(data.labels))
        # Numbers count first appearances, so a position among the distinct images is a number.
        distinct = first_of_each(self._ids) if deduplicate else np.zeros(0, np.int64)
        self._near_pairs = near_pairs(data.images, distinct)
        both = np.concatenate([self._near_pairs, self._near_pairs[:, ::-1]])
        both = both[np.argsort(both[:, 0], kind="stable")]
        self._near = both[:, 1].copy()
        self._near_starts = np.searchsorted(both[:, 0], np.arange(len(data.labels) + 1))
        self._left_out: dict[str, int] = {}
        self._near_left_out: dict[str, int] = {}

    @property
    def free(self) -> Indices:
        """What is left, sorted."""
        return np.flatnonzero(self.is_free)

    @property
    def num_left(self) -> int:
        """How many images are in no part, copies of those that are included."""
        return len(self.is_free) - sum(map(len, self.taken.values()))

    @property
    def num_distinct(self) -> int:
        """How many images that differ could be drawn if near copies were none."""
        return len(np.unique(self._ids[self.is_drawable]))

    @property
    def num_classes(self) -> int:
        """How many classes the dataset has."""
        return len(self._data.class_names)

    def take(self, part: str, chosen: Indices) -> None:
        """Makes `chosen` the part, and leaves out what repeats one of its images elsewhere."""
        self._take(part, chosen)
        self.is_drawable &= ~self._repeats(chosen)

    def draw(self, part: str, size: int, *, needed_by: Sequence[str] = ()) -> None:
        """Makes distinct images the part, each class by its share (within one image).

        Args:
            part: Name of the part, such as `val`.
            size: How many images it gets, >= 0.
            needed_by: The part, those that are drawn after it, and train, if each of them must get
                every class. Then a class too rare for a share of one gives one all the same, and
                none gives the last that the others need: the part may miss `size` by these.

        Raises:
            ConfigError: If a class has too few distinct images.
        """
        from sklearn.model_selection import train_test_split

        if size == 0:
            self._take(part, np.array([], np.int64))
            return
        drawable = np.flatnonzero(self.is_drawable)
        candidates = drawable[first_of_each(self._ids[drawable])]
        apart = self._apart(candidates)
        if needed_by:
            _check_enough(needed_by, apart, self._data)
        _check_draw(part, size, candidates if needed_by else apart, self._data)
        rest, chosen = train_test_split(
            candidates,
            test_size=size,
            stratify=self._data.labels[candidates],
            random_state=derive_seed(self._seed, "split", part),
        )
        wanted = self._per_class(chosen)
        if needed_by:
            wanted = np.clip(wanted, 1, self._per_class(apart) + 1 - len(needed_by))
            both = np.concatenate([chosen, rest])
            chosen, rest = _first_of_class(both, self._data.labels, wanted)
        self.is_drawable &= ~self._repeats(chosen)
        self._take(part, self._without_near_copies(part, chosen, rest, wanted=wanted))

    def count_copies(self) -> dict[str, int]:
        """Returns the counts that `Split.duplicates` describes; what is free is the train part."""
        taken = {**self.taken, "train": self.free}
        labels = self._data.labels[first_of_each(self._ids)]
        one, other = self._near_pairs.T
        return {
            **{f"left_out_as_in_{part}": count for part, count in self._left_out.items()},
            **{
                f"copies_within_{part}": len(indices) - len(np.unique(self._ids[indices]))
                for part, indices in taken.items()
            },
            "with_conflicting_labels": num_conflicts(self._ids, self._data.labels),
            **{
                f"near_copies_left_out_as_in_{part}": count
                for part, count in self._near_left_out.items()
            },
            **{
                f"near_copies_within_{part}": self._num_near_copies(indices)
                for part, indices in taken.items()
            },
            "near_copies_with_conflicting_labels": len(
                np.unique(self._near_pairs[labels[one] != labels[other]])
            ),
        }

    def _take(self, part: str, chosen: Indices) -> None:
        self.taken[part] = np.sort(chosen)
        self.is_free[chosen] = False
        copies = self._repeats(chosen)
        is_near = np.zeros(len(self._ids), bool)
        for number in self._ids[chosen].tolist():
            is_near[self._near_copies_of(number)] = True
        near_copies = is_near[self._ids] & ~copies
        # An own part is taken once empty, then drawn.
        for counts, repeats in ((self._left_out, copies), (self._near_left_out, near_copies)):
            counts[part] = counts.get(part, 0) + int((self.is_free & repeats).sum())
            self.is_free &= ~repeats

    def _repeats(self, chosen: Indices) -> NDArray[np.bool_]:
        """Whether an image is one of `chosen` or equals one, shape (n,)."""
        return np.isin(self._ids, self._ids[chosen])

    def _near_copies_of(self, number: int) -> Indices:
        """Returns the numbers of the near copies of a distinct image; a film has millions."""
        return self._near[self._near_starts[number] : self._near_starts[number + 1]]

    def _apart(self, indices: Indices, *, blocked: NDArray[np.bool_] | None = None) -> Indices:
        """Returns those that are free and no near copy of an earlier one.

        Args:
            indices: Which of the images, in order.
            blocked: By number, which distinct images are near copies of one that was returned
                before; those that are returned now add theirs.
        """
        blocked = np.zeros(len(self._ids), bool) if blocked is None else blocked
        kept = np.zeros(len(indices), bool)
        for position, index in enumerate(indices.tolist()):
            number = int(self._ids[index])
            kept[position] = self.is_free[index] and not blocked[number]
            if kept[position]:
                blocked[self._near_copies_of(number)] = True
        return indices[kept]

    def _without_near_copies(
        self, part: str, chosen: Indices, rest: Indices, *, wanted: Indices
    ) -> Indices:
        """Replaces what is not free or nearly repeats an earlier one, by others of its class."""
        blocked = np.zeros(len(self._ids), bool)
        labels = self._data.labels
        kept = [self._apart(chosen, blocked=blocked)]
        missing = wanted - self._per_class(kept[0])
        for label in np.flatnonzero(missing):
            # `rest` is in random order.
            spare = self._apart(rest[labels[rest] == label], blocked=blocked)[: missing[label]]
            if len(spare) < missing[label]:
                name = self._data.class_names[label]
                raise ConfigError(
                    f"split.{part}_size must leave enough images of every class that are no "
                    f"near copies of others. Received: {wanted[label]} images of {name} for "
                    f"{part}, of which {missing[label] - len(spare)} are such copies. "
                    f"Lower split.{part}_size, add images, or bring a part of your own: a folder, "
                    "or a column of fetch.labels."
                )
            kept.append(spare)
        return np.concatenate(kept)

    def _per_class(self, indices: Indices) -> Indices:
        return np.bincount(self._data.labels[indices], minlength=self.num_classes)

    def _num_near_copies(self, indices: Indices) -> int:
        """Counts the distinct images that nearly repeat an earlier one of `indices`."""
        is_within = np.isin(self._near_pairs, self._ids[indices]).all(axis=1)
        return len(np.unique(self._near_pairs[is_within, 1]))


def _first_of_class(indices: Indices, labels: Indices, most: Indices) -> tuple[Indices, Indices]:
    """Returns those that have fewer than `most[label]` of their class before them, and the rest."""
    order = np.argsort(labels[indices], kind="stable")
    ordered = labels[indices][order]
    places = np.empty_like(order)
    places[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    is_kept = places < most[labels[indices]]
    return indices[is_kept], indices[~is_kept]


def _check_enough(needed_by: Sequence[str], apart: Indices, data: LabelledImages) -> None:
    """Refuses classes that have no image for each part."""
    counts = np.bincount(data.labels[apart], minlength=len(data.class_names))
    few = np.flatnonzero(counts < len(needed_by))
    if len(few):
        names = ", ".join(f"{data.class_names[c]} ({counts[c]})" for c in few)
        raise ConfigError(
            f"Every class needs at least {len(needed_by)} images that are no copies or near copies "
            f"of others, one for each of {', '.join(needed_by)}. Received: too few of {names}. "
            "Add images, remove or join classes, or bring a part of your own: a folder, or a "
            "column of fetch.labels."
        )


def _check_draw(part: str, size: int, candidates: Indices, data: LabelledImages) -> None:
    """Refuses what no stratified draw can do: a class on one side only."""
    counts = np.bincount(data.labels[candidates], minlength=len(data.class_names))
    received = f"Received: split.{part}_size takes {size} of {len(candidates)} distinct images"
    if len(small := np.flatnonzero(counts < 2)):
        names = ", ".join(f"{data.class_names[c]} ({counts[c]})" for c in small)
        raise ConfigError(
            f"Every class needs an image for {part} and another to train on. "
            f"{received}, too few of which are {names}. Add images or remove the class."
        )
    if not len(counts) <= size <= len(candidates) - len(counts):
        raise ConfigError(
            f"split.{part}_size must leave at least one image of each of {len(counts)} classes on "
            f"both sides. {received}. Change it, to a share such as 0.1 for instance."
        )


def content_ids(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Numbers the distinct images, in the order in which they first appear.

    Two images have the same number exactly if all pixels agree (by BLAKE2b of 16 bytes: a false
    match among a million images has a chance of 1e-27).

    Args:
        images: uint8, shape (n, ...).

    Returns:
        int64, shape (n,).

    >>> content_ids(np.array([[7], [9], [7]], np.uint8)).tolist()
    [0, 1, 0]
    """
    seen: dict[bytes, int] = {}
    digests = (
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        for image in images
    )
    return np.array([seen.setdefault(digest, len(seen)) for digest in digests], np.int64)


def first_of_each(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the positions at which a number appears for the first time, ascending."""
    return np.sort(np.unique(ids, return_index=True)[1])


def num_conflicts(ids: NDArray[np.int64], labels: NDArray[np.int64]) -> int:
    """Counts the distinct images that carry more than one label."""
    pairs = np.unique(np.stack([ids, labels]), axis=1)
    return int(np.sum(np.bincount(pairs[0]) > 1)) if len(ids) else 0
