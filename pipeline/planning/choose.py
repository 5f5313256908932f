"""Chooses a base, its image size, its cuts and views for some pictures and minutes.

Coordinates are climbed one after the other: the sizes of the first base, from that of the images
themselves upwards, every other one, while that helps, then those beside the best; then the other
bases from there. A base that takes longer for an image than there is time for is left after the
first few.
"""

import logging
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.planning.heads import NOTICEABLE, Head, heads_of, single_heads
from pipeline.planning.limits import Limits
from pipeline.planning.probe import Part, Probe, TooSlowError

logger = logging.getLogger(__name__)

WORTH_TWICE: Final = 2.0
"""Standard errors by which mirrored images must help: they double all that comes after."""
STRIDE: Final = 2
"""Sizes that a climb goes up at once; what it left out beside the best is looked at afterwards."""

MakeProbe = Callable[[str, int, float], Probe]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A base at a size, and the best single cut that a head was put on.

    Attributes:
        model: As `models.base_choice.BaseChoice.model`.
        image_size: Pixels.
        part: The cut and its pooling; None where embedding all images would take too long.
        accuracy: Of a ridge head on it, over the sample, each image left out; in [0, 1].
        expected: Of one that is trained on all training images.
        seconds_per_image: To embed one.
        num_images: Of the sample that were looked at.
    """

    model: str
    image_size: int
    part: Part | None
    accuracy: float
    expected: float
    seconds_per_image: float
    num_images: int


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen for a base.

    Attributes:
        chosen: The base at its size.
        heads: What heads may stand on, the best first.
        mirror_gain: Of accuracy through mirrored images, with its standard error; None: not asked.
        is_mirrored: Whether mirrored images are worth embedding, and fit the time.
        candidates: All that were looked at, in this order.
    """

    chosen: Candidate
    heads: Sequence[Head]
    mirror_gain: tuple[float, float] | None
    is_mirrored: bool
    candidates: Sequence[Candidate]

    @property
    def runner_up(self) -> Candidate | None:
        """The best of those that were not chosen, if any fits the time."""
        others = [each for each in self.candidates if each.part and each is not self.chosen]
        return max(others, key=lambda each: each.expected, default=None)


class Chooser:
    """Climbs to the best base and size that fit the time.

    Args:
        make_probe: From a model, an image size and the most seconds an image may take to a probe;
            raises `TooSlowError`.
        limits: Of time and bytes.
        num_rows: Images that will be embedded, views aside.
        num_train: Images of the training part, which heads will be trained on.
        num_probed: Images of a probe.
        own_size: Pixels of the images as they are stored.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        make_probe: MakeProbe,
        limits: Limits,
        *,
        num_rows: int,
        num_train: int,
        num_probed: int,
        own_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_probe, self._limits, self._clock = make_probe, limits, clock
        self._num_rows, self._num_train, self._num_probed = num_rows, num_train, num_probed
        self._own_size = own_size
        self._most_features = limits.num_features(num_train, num_rows=num_rows)
        self._end = clock() + limits.plan_seconds
        self._candidates: list[Candidate] = []
        self._probes: dict[tuple[str, int], Probe] = {}

    def choose(self, sizes_of: Mapping[str, Sequence[int]], *, asks_views: bool) -> Choice:
        """Returns what is expected to be best on all training images.

        Args:
            sizes_of: The sizes of images that each model takes, pixels, rising, at least one. The
                models are tried in this order.
            asks_views: Whether mirrored images are to be tried.
        """
        for model, image_sizes in sizes_of.items():
            self._climb(model, image_sizes)
        chosen = self._cheapest_of_the_best()
        probe = self._probes[chosen.model, chosen.image_size]
        heads = heads_of(probe, most_features=self._most_features, num_train=self._num_train)
        gain = self._mirror_gain(probe, heads[0]) if asks_views else None
        return Choice(
            chosen=chosen,
            heads=heads,
            mirror_gain=gain,
            is_mirrored=gain is not None and gain[0] > WORTH_TWICE * gain[1],
            candidates=self._candidates,
        )

    def _mirror_gain(self, probe: Probe, head: Head) -> tuple[float, float] | None:
        """Returns what mirrored images add; None where there is no time for them."""
        num_features = sum(part.num_features for part in head.parts)
        num_rows, num_train = self._num_rows + self._num_train, 2 * self._num_train
        is_room = (
            self._clock() + probe.num_images * probe.seconds_per_image <= self._end
            and probe.seconds_per_image <= self._limits.seconds_per_image(num_rows)
            and num_features <= self._limits.num_features(num_train, num_rows=num_rows)
        )
        return probe.mirror_gain(head.parts) if is_room else None

    def _climb(self, model: str, image_sizes: Sequence[int]) -> None:
        """Looks at a first size, from there at every other one upwards, then beside the best.

        The first is the best of the bases before; without one that of the images themselves.
        """
        best = self._best()
        wanted = best.image_size if best else self._own_size
        first = max(bisect_right(image_sizes, wanted) - 1, 0)
        found = self._look_at(model, image_sizes[first], is_smallest=not first)
        if found is not None and found.part is None and first:
            self._look_below(found, image_sizes[:first])
        for size in image_sizes[first + STRIDE :: STRIDE]:
            if found is None or found is not self._best():
                break
            found = self._look_at(model, size)
        self._look_beside_the_best(model, image_sizes)

    def _look_below(self, too_slow: Candidate, image_sizes: Sequence[int]) -> None:
        """Looks at the largest size that is expected to fit the time, else at the smallest.

        What an image takes grows with its pixels.
        """
        limit = self._limit()
        fitting = [
            size
            for size in image_sizes
            if too_slow.seconds_per_image * (size / too_slow.image_size) ** 2 <= limit
        ]
        size = max(fitting, default=image_sizes[0])
        self._look_at(too_slow.model, size, is_smallest=size == image_sizes[0])

    def _look_beside_the_best(self, model: str, image_sizes: Sequence[int]) -> None:
        best = self._best()
        if best is None or best.model != model:
            return
        place = image_sizes.index(best.image_size)
        for size in image_sizes[max(place - 1, 0) : place + 2]:
            if size not in self._sizes_of(model, fitting=False):
                self._look_at(model, size)

    def _sizes_of(self, model: str, *, fitting: bool = True) -> list[int]:
        return [
            each.image_size
            for each in self._candidates
            if each.model == model and (each.part is not None or not fitting)
        ]

    def _limit(self) -> float:
        """Returns the most seconds that an image may take."""
        return min(
            self._limits.seconds_per_image(self._num_rows),
            (self._end - self._clock()) / self._num_probed,
        )

    def _look_at(
        self, model: str, image_size: int, *, is_smallest: bool = False
    ) -> Candidate | None:
        """Returns a candidate; None when the time is over and there is one already."""
        # Something must be taken, whatever it costs.
        is_last_resort = is_smallest and not self._probes
        if self._probes and self._clock() >= self._end:
            return None
        try:
            limit = math.inf if is_last_resort else self._limit()
            probe = self._make_probe(model, image_size, limit)
        except TooSlowError as error:
            found = Candidate(
                model=model,
                image_size=image_size,
                part=None,
                accuracy=0.0,
                expected=0.0,
                seconds_per_image=error.seconds,
                num_images=0,
            )
        else:
            self._probes[model, image_size] = probe
            head = single_heads(
                probe, most_features=self._most_features, num_train=self._num_train
            )[0]
            found = Candidate(
                model=model,
                image_size=image_size,
                part=head.parts[0],
                accuracy=head.accuracy,
                expected=head.expected,
                seconds_per_image=probe.seconds_per_image,
                num_images=probe.num_images,
            )
        self._candidates.append(found)
        logger.info("%s", described(found))
        return found

    def _fitting(self) -> list[Candidate]:
        return [each for each in self._candidates if each.part is not None]

    def _best(self) -> Candidate | None:
        return max(self._fitting(), key=lambda each: each.expected, default=None)

    def _cheapest_of_the_best(self) -> Candidate:
        best = max(self._fitting(), key=lambda each: each.expected)
        equal = [each for each in self._fitting() if not self._is_noticeably_better(best, each)]
        return min(equal, key=lambda each: each.seconds_per_image)

    def _is_noticeably_better(self, best: Candidate, other: Candidate) -> bool:
        right, theirs = (
            self._probes[each.model, each.image_size].errors([each.part]).is_right  # type: ignore[list-item]
            for each in (best, other)
        )
        count = min(len(right), len(theirs))
        differences = right[:count].astype(float) - theirs[:count]
        error = max(differences.std(), 1 / count) / math.sqrt(count)
        return best.expected - other.expected > NOTICEABLE * float(error)


def described(candidate: Candidate) -> str:
    """Returns a line about a candidate, for the log."""
    name = f"{candidate.model} at {candidate.image_size} pixels"
    speed = f"{1 / candidate.seconds_per_image:,.0f} images/s"
    if candidate.part is None:
        return f"{name}: {speed}, too slow"
    part = candidate.part
    return (
        f"{name}: {candidate.accuracy:.3f} on {candidate.num_images:,} images, "
        f"{candidate.expected:.3f} expected on all ({part.cut}, {part.pooling}), {speed}"
    )
