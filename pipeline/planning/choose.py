"""Chooses a base, its image size, its cuts and views for some pictures and minutes.

Coordinates are climbed one after the other, cheap ones first: the sizes of the first base upwards,
every other one, while that helps, then those beside the best; then the other bases from there. A
base that takes longer for an image than there is time for is left after the first few.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.planning.expectation import expected_errors
from pipeline.planning.limits import Limits
from pipeline.planning.probe import Part, Probe, TooSlowError

logger = logging.getLogger(__name__)

MOST_PARTS: Final = 4
NOTICEABLE: Final = 1.0
"""Standard errors of a paired difference, below which the cheaper of two choices is taken."""
WORTH_TWICE: Final = 2.0
"""Standard errors by which mirrored images must help: they double all that comes after."""
STRIDE: Final = 2
"""Sizes that a climb goes up at once; what it left out beside the best is looked at afterwards."""
SINGLE_HEADS: Final = 2

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
class Head:
    """What a head may stand on.

    Attributes:
        parts: Side by side, in the network's order.
        accuracy: Of a ridge head, over the sample, each image left out; in [0, 1].
        expected: Of one that is trained on all training images.
    """

    parts: Sequence[Part]
    accuracy: float
    expected: float


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
        limits: Of time.
        num_rows: Images that will be embedded, views aside.
        num_train: Images of the training part, which heads will be trained on.
        num_probed: Images of a probe.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_probe, self._limits, self._clock = make_probe, limits, clock
        self._num_rows, self._num_train, self._num_probed = num_rows, num_train, num_probed
        self._end = clock() + limits.plan_seconds
        self._candidates: list[Candidate] = []
        self._probes: dict[tuple[str, int], Probe] = {}

    def choose(
        self, models: Sequence[str], image_sizes: Sequence[int], *, asks_views: bool
    ) -> Choice:
        """Returns what is expected to be best on all training images.

        Args:
            models: Tried in this order, at least one.
            image_sizes: Pixels, rising, at least one.
            asks_views: Whether mirrored images are to be tried.
        """
        for model in models:
            self._climb(model, image_sizes)
        chosen = self._cheapest_of_the_best()
        probe = self._probes[chosen.model, chosen.image_size]
        heads = self._heads(probe)
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
        is_room = (
            self._clock() + probe.num_images * probe.seconds_per_image <= self._end
            and probe.seconds_per_image
            <= self._limits.seconds_per_image(self._num_rows + self._num_train)
            and num_features <= self._limits.num_features(2 * self._num_train)
        )
        return probe.mirror_gain(head.parts) if is_room else None

    def _climb(self, model: str, image_sizes: Sequence[int]) -> None:
        """Looks at every other size upwards, then at the neighbours of the best one."""
        best = self._best()
        first = image_sizes.index(best.image_size) if best else 0
        for size in image_sizes[first::STRIDE]:
            found = self._look_at(model, size)
            if found is None or found is not self._best():
                break
        if first and not self._sizes_of(model):
            self._descend(model, image_sizes[:first])
        self._look_beside_the_best(model, image_sizes)

    def _descend(self, model: str, image_sizes: Sequence[int]) -> None:
        """Looks for the largest size at which a base fits the time."""
        for size in image_sizes[::-1]:
            found = self._look_at(model, size)
            if found is None or found.part is not None:
                return

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

    def _look_at(self, model: str, image_size: int) -> Candidate | None:
        """Returns a candidate; None when the time is over, of which the first needs none."""
        if self._candidates and self._clock() >= self._end:
            return None
        limit = min(
            self._limits.seconds_per_image(self._num_rows),
            (self._end - self._clock()) / self._num_probed,
        )
        try:
            # The first is taken whatever it costs: something must be.
            probe = self._make_probe(model, image_size, limit if self._probes else math.inf)
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
            head = max(self._single_heads(probe), key=lambda head: head.expected)
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

    def _single_heads(self, probe: Probe) -> list[Head]:
        """Returns a head on the most that may be kept of each cut."""
        most = {part.cut: part for part in sorted(self._allowed(probe.parts))}
        return self._judged(probe, [[part] for part in most.values()])

    def _allowed(self, parts: Sequence[Part]) -> list[Part]:
        """Returns the parts that are not too large to train on, or the smallest."""
        most = self._limits.num_features(self._num_train)
        allowed = [part for part in parts if part.num_features <= most]
        return allowed or [min(parts, key=lambda part: part.num_features)]

    def _judged(self, probe: Probe, sets: Sequence[Sequence[Part]]) -> list[Head]:
        errors = [probe.errors(parts) for parts in sets]
        expected = expected_errors(errors, num_train=self._num_train)
        return [
            Head(parts=tuple(sorted(parts)), accuracy=1 - own.of_all, expected=1 - error)
            for parts, own, error in zip(sets, errors, expected, strict=True)
        ]

    def _heads(self, probe: Probe) -> list[Head]:
        ranked = sorted(self._single_heads(probe), key=lambda head: -head.expected)
        singles = []
        for head in ranked[:SINGLE_HEADS]:
            kinds = [part for part in self._allowed(probe.parts) if part.cut == head.parts[0].cut]
            variants = self._judged(probe, [[part] for part in kinds])
            singles.append(max(variants, key=lambda variant: variant.expected))
        singles.sort(key=lambda head: -head.expected)
        joined = list(self._joined(probe, singles[0], [head.parts[0] for head in ranked]))
        return [*joined[-1:], *singles]

    def _joined(self, probe: Probe, head: Head, others: Sequence[Part]) -> Iterator[Head]:
        """Yields heads of more and more parts, each noticeably better than the one before."""
        most = self._limits.num_features(self._num_train)
        while len(head.parts) < MOST_PARTS:
            cuts = {part.cut for part in head.parts}
            room = most - sum(part.num_features for part in head.parts)
            # As much of each further cut as there is room for.
            more = {
                part.cut: part
                for part in sorted(probe.parts)
                if part.num_features <= room and part.cut not in cuts
            }
            if not more:
                return
            wider = self._judged(probe, [[*head.parts, part] for part in more.values()])
            best = max(wider, key=lambda each: each.accuracy)
            before, after = (probe.errors(each.parts).is_right for each in (head, best))
            gain = after.astype(float) - before
            if gain.sum() <= NOTICEABLE * math.sqrt(np.square(gain).sum()):
                return
            head = best
            yield head


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
