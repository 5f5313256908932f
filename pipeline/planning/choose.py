"""Chooses a base, its image size, its cuts and views for some pictures and minutes.

Coordinates are climbed one after the other: the sizes of the first base, from that of the images
themselves upwards, every other one, while that helps; then the other bases at the best size; then
the sizes beside the best. A base that takes longer for an image than there is time for is left
after the first few.
"""

import logging
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from pipeline.planning.choice import Candidate, Choice, described
from pipeline.planning.heads import Head, heads_of, single_heads
from pipeline.planning.limits import Limits
from pipeline.planning.probe import FEWEST_IMAGES, Probe, TooSlowError

logger = logging.getLogger(__name__)

MIRROR_GAIN: Final = 1.0
"""Standard errors by which mirrored images must help: what they take is time to embed, and room.
Networks of 256 and 512 units gained 0.7 and 0.3 points in as many steps on CIFAR-10 with
EfficientNet-Lite0 at 128 pixels, where ridge heads gain 1.2 (standard error 0.5), and 0.4 and 0.2
with Lite2 at 192, where these gain 0.4 (0.3). They lost 0.0 and 0.5 on 855 photographs, where ridge
heads lose 0.2 (0.4), but 0.3 and 0.3 on Fashion-MNIST, too, where these gain 0.7 (0.4):
confirmation part, two seeds each, 2026-11-30 (`python -m benchmarks.mirrored_images`). So it is a
weak sign, and costs no start of phase 2 (`planning.bases`)."""
STRIDE: Final = 2
"""Sizes that a climb goes up at once; what it left out beside the best is looked at afterwards."""
PROBES: Final = 5
"""That the time of the plan is to be enough for: the first looks at as many images as its share
allows, and all others at the same."""
PRICE: Final = 0.01
"""Of accuracy, that all the time there is for embedding must bring: of near equals the cheaper."""
MOST_SPEEDUP: Final = 2.0
"""Of the stage `embed` over TensorFlow. ONNX Runtime was 1.9 to 2.0 times as fast on 2 cores with
AVX-512 (2026-11-28, EfficientNet-Lite0 and 2 at 64 and 128 pixels, `benchmarks/embedding_speed.py`)
and 1.2 times on 2 of an Intel Xeon at 2.5 GHz (2026-11-29, EfficientNet-Lite1 at 96 pixels, 322 and
266 images a second, n = 1, 05e79c1)."""
CONVERSION_SECONDS: Final = 10.0
"""That are left of the plan when a conversion begins: it takes 6 s for EfficientNet-Lite0."""


class MakeProbe(Protocol):
    """Makes the probe of a model at an image size."""

    def __call__(
        self,
        model: str,
        image_size: int,
        *,
        num_images: int,
        most_seconds: float,
        seconds: float,
        is_converted: bool,
    ) -> Probe:
        """Returns it.

        Args:
            model: As `bases.choice.BaseChoice.model`.
            image_size: Pixels.
            num_images: Of the sample, that it looks at.
            most_seconds: An image may take.
            seconds: For all of them; it looks at fewer where they take longer.
            is_converted: Whether it is run as the stage `embed` will, mostly by ONNX Runtime, and
                not in TensorFlow: a conversion takes longer than most probes.

        Raises:
            TooSlowError: If an image takes longer.
        """


class Chooser:
    """Climbs to the best base and size that fit the time.

    Args:
        make_probe: Makes the probe of a model at a size.
        limits: Of time and bytes.
        num_rows: What will be embedded, mirrored images that the plan may add aside.
        num_train: Images of the training part, which heads will be trained on.
        num_probed: Most images of a probe, all of the same sample.
        most_features: Of a head.
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
        most_features: int,
        own_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_probe, self._limits, self._clock = make_probe, limits, clock
        self._num_rows, self._num_train, self._num_probed = num_rows, num_train, num_probed
        self._own_size, self._most_features = own_size, most_features
        self._end = clock() + limits.plan_seconds
        self._candidates: list[Candidate] = []
        self._probes: dict[tuple[str, int], Probe] = {}

    def choose(
        self,
        sizes_of: Mapping[str, Sequence[int]],
        *,
        asks_views: bool,
        is_room: Callable[[str, int, int], bool] | None = None,
    ) -> Choice:
        """Returns what is expected to be best on all training images.

        Args:
            sizes_of: The sizes of images that each model takes, pixels, rising, at least one. The
                models are tried in this order.
            asks_views: Whether mirrored images are to be tried.
            is_room: Of a model, a size and a number of rows, whether the arrays of given cuts fit;
                None: no cuts are given, and the heads decide.
        """
        first, *others = sizes_of
        self._climb(first, sizes_of[first])
        for model in others:
            self._begin(model, sizes_of[model])
        best = self._best()
        self._look_beside(best, sizes_of[best.model])
        chosen = self._best()
        probe = self._probes[chosen.model, chosen.image_size]
        heads = heads_of(probe, most_features=self._most_features, num_train=self._num_train)
        num_rows = self._num_rows + self._num_train
        if is_room is None:
            fitting = self._fitting(heads, num_rows)
        else:
            fitting = heads if is_room(chosen.model, chosen.image_size, num_rows) else []
        asks_views = asks_views and heads[0] in fitting
        gain = self._mirror_gain(probe, heads[0]) if asks_views else None
        is_mirrored = gain is not None and gain[0] > MIRROR_GAIN * gain[1]
        return Choice(
            chosen=chosen,
            heads=fitting if is_mirrored else heads,
            plain_heads=heads,
            mirror_gain=gain,
            is_mirrored=is_mirrored,
            candidates=self._candidates,
        )

    def _mirror_gain(self, probe: Probe, head: Head) -> tuple[float, float] | None:
        """Returns what mirrored images add; None where there is no time for them."""
        most_seconds = self._limits.seconds_per_image(self._num_rows + self._num_train)
        is_room = (
            self._clock() + probe.num_images * probe.seconds_per_image <= self._end
            and probe.seconds_per_image <= most_seconds
        )
        return probe.mirror_gain(head.parts) if is_room else None

    def _fitting(self, heads: Sequence[Head], num_rows: int) -> Sequence[Head]:
        """Returns the heads, the best first, whose features of so many rows there is room for."""
        fitting, room = list[Head](), self._limits.num_values(num_rows)
        for head in heads:
            if head.num_features <= room:
                fitting.append(head)
                room -= head.num_features
        return fitting

    def _climb(self, model: str, image_sizes: Sequence[int]) -> None:
        """Looks at a first size, from there at every other one upwards while that helps."""
        found = self._begin(model, image_sizes)
        while found is not None and found is self._best():
            place = image_sizes.index(found.image_size)
            further = image_sizes[place + 1 : place + 1 + STRIDE]
            found = self._look_at(model, further[-1]) if further else None

    def _begin(self, model: str, image_sizes: Sequence[int]) -> Candidate | None:
        """Looks at the best size of the bases before; without one at that of the images."""
        wanted = self._best().image_size if self._probes else self._own_size
        first = max(bisect_right(image_sizes, wanted) - 1, 0)
        found = self._look_at(model, image_sizes[first], is_smallest=not first)
        if found is not None and found.part is None and first:
            self._look_below(found, image_sizes[:first])
        return found

    def _look_below(self, too_slow: Candidate, image_sizes: Sequence[int]) -> None:
        """Looks at the largest size that is expected to fit the time, and on below it.

        What an image takes grows with its pixels.
        """
        found: Candidate | None = too_slow
        while found is not None and found.part is None and image_sizes:
            limit = self._limit() * found.image_size**2 / found.seconds_per_image
            place = bisect_right([size**2 for size in image_sizes], limit) - 1
            place = max(place, 0)
            found = self._look_at(found.model, image_sizes[place], is_smallest=not place)
            image_sizes = image_sizes[:place]

    def _look_beside(self, best: Candidate, image_sizes: Sequence[int]) -> None:
        seen = [each.image_size for each in self._candidates if each.model == best.model]
        place = image_sizes.index(best.image_size)
        # The larger first: it is the one that more often helps.
        for size in reversed(image_sizes[max(place - 1, 0) : place + 2]):
            if size not in seen:
                self._look_at(best.model, size)

    def _limit(self) -> float:
        """Returns the most seconds that an image may take."""
        if self._probes:
            left = (self._end - self._clock()) / self._num_probed
        else:
            left = self._limits.plan_seconds / PROBES / min(self._num_probed, FEWEST_IMAGES)
        return min(self._limits.seconds_per_image(self._num_rows), left)

    def _look_at(
        self, model: str, image_size: int, *, is_smallest: bool = False
    ) -> Candidate | None:
        """Returns a candidate; None when the time is over and there is one already."""
        if self._probes and self._clock() >= self._end:
            return None
        # Something must be taken, whatever it costs.
        limit = math.inf if is_smallest and not self._probes else self._limit()
        try:
            try:
                found = self._probed(model, image_size, limit)
            except TooSlowError as error:
                if not self._may_convert(error.seconds, limit):
                    raise
                found = self._probed(model, image_size, self._limit(), is_converted=True)
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
        self._candidates.append(found)
        logger.info("%s", described(found))
        return found

    def _may_convert(self, seconds: float, limit: float) -> bool:
        """Whether an image that takes so long in TensorFlow may be affordable for `embed`."""
        is_time = self._clock() + CONVERSION_SECONDS <= self._end
        return is_time and seconds <= MOST_SPEEDUP * limit

    def _probed(
        self, model: str, image_size: int, limit: float, *, is_converted: bool = False
    ) -> Candidate:
        probe = self._make_probe(
            model,
            image_size,
            num_images=self._num_probed,
            most_seconds=limit,
            seconds=math.inf if self._probes else self._limits.plan_seconds / PROBES,
            is_converted=is_converted,
        )
        self._probes[model, image_size] = probe
        # The same images for all: what is compared is then the same sample.
        self._num_probed = probe.num_images
        return replace(self._judged(model, image_size, probe), is_converted=is_converted)

    def _judged(self, model: str, image_size: int, probe: Probe) -> Candidate:
        """Returns a base at a size with the best head on a single cut of it."""
        head, *_ = single_heads(probe, most_features=self._most_features, num_train=self._num_train)
        return Candidate(
            model=model,
            image_size=image_size,
            part=head.parts[0],
            accuracy=head.accuracy,
            expected=head.expected,
            seconds_per_image=probe.seconds_per_image,
            num_images=probe.num_images,
        )

    def _best(self) -> Candidate:
        """Returns the best of those that fit the time, of which there must be one."""
        return max((each for each in self._candidates if each.part), key=self._worth)

    def _worth(self, candidate: Candidate) -> float:
        share = candidate.seconds_per_image / self._limits.seconds_per_image(self._num_rows)
        return candidate.expected - PRICE * share
