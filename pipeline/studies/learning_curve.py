"""The winner trained on fewer images, and what that says of more of them.

The lower rungs of a search have trained it on fewer images, too, but for fewer epochs, so that they
say what both bring; and they were judged on the validation part, by which they were chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.evaluation.learning_curve import (
    FARTHEST,
    FEWEST_POINTS,
    CurvePoint,
    Expected,
    foretold,
    power_laws,
)
from pipeline.evaluation.metrics import METRICS, negative_log_likelihoods
from pipeline.search.candidates import PART
from pipeline.search.measuring import Measurement, Measurements
from pipeline.studies.diagnosed import Subject
from pipeline.training.fewer_images import FewerImages
from pipeline.training.messages import TrialResult, answers_file
from pipeline.trials.diagnosis import (
    QUARTER,
    WORTHWHILE,
    MoreDataRecord,
    RangeRecord,
    SizeRecord,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALVINGS: Final = 4
"""From all images down, each time by half."""
FEWEST_PER_CLASS: Final = 5
"""Images of the smallest part, where classes are of one size."""
SEEDS: Final = 2
SURELY: Final = 2.0
"""Times what is expected, that a training takes at most."""
USUAL_CORRELATION: Final = 0.5
"""Between what two sizes err on, where a single one was trained."""
MOST_CORRELATION: Final = 0.99


def curve_sizes(num_images: int, num_classes: int) -> list[int]:
    """Returns on how many images to train, the fewest first: halves of halves.

    >>> curve_sizes(50_000, 10)
    [3125, 6250, 12500, 25000]
    """
    sizes = [round(num_images / 2**halving) for halving in range(HALVINGS, 0, -1)]
    return [size for size in sizes if size >= FEWEST_PER_CLASS * num_classes]


def begun_first(sizes: Sequence[int], seconds: Callable[[int], float], *, left: float) -> list[int]:
    """Returns in which order sizes are trained, so that most is known when the time is up.

    The largest that is sure to end in time, twice as slow too, says most of what is still to come;
    begun first, it ends beside the smaller ones. Larger ones follow. Where none is sure, the
    smallest come first: three sizes say something, and two say nothing.

    Args:
        sizes: Fewest images first.
        seconds: How long a training on so many images is expected to take.
        left: Until all must have ended, in seconds.

    >>> begun_first([1, 2, 4, 8], float, left=9.0)
    [4, 2, 1, 8]
    >>> begun_first([1, 2, 4, 8], float, left=1.0)
    [1, 2, 4, 8]
    """
    sure = [size for size in sizes if SURELY * seconds(size) <= left]
    return [*reversed(sure), *sizes[len(sure) :]]


def learning_curve(
    subject: Subject, measurements: Measurements, *, ends: float
) -> tuple[list[SizeRecord], MoreDataRecord | None]:
    """Trains the winner's configuration on fewer images, and follows the curve on.

    Args:
        subject: Whose winner.
        measurements: Where it is trained.
        ends: When the last training must have ended.

    Returns:
        The sizes, fewest images first, and what more images would bring; None: too few sizes.
    """
    sizes = begun_first(
        curve_sizes(subject.num_images, subject.num_classes),
        lambda size: _seconds(subject, size),
        left=ends - time.time(),
    )
    wanted = [_on(subject, size, seed) for seed in range(SEEDS) for size in sizes]
    # Once more with all, to see how well these are fitted without dropout.
    wanted.append(_on(subject, subject.num_images, 0))
    found = _answers(wanted, measurements.run(wanted, ends=ends))
    by_size: dict[int, list[_Answers]] = {}
    for answers in found:
        by_size.setdefault(answers.num_images, []).append(answers)
    known = subject.known()
    records = [
        SizeRecord(
            num_images=size,
            errors=[one.error(subject) for one in by_size[size]],
            train_errors=[one.train_error(subject) for one in by_size[size]],
        )
        for size in sorted(by_size)
    ]
    if records and records[-1].num_images == subject.num_images:
        last = records.pop()
        known = SizeRecord(
            num_images=known.num_images, errors=known.errors, train_errors=last.train_errors
        )
    losses = [np.mean([one.losses(subject) for one in by_size[r.num_images]], 0) for r in records]
    records.append(known)
    return records, more_data_of(records, losses)


@dataclass(frozen=True)
class _Answers:
    num_images: int
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_judged: int

    def error(self, subject: Subject) -> float:
        own, labels = self.probabilities[: self.num_judged], self.labels[: self.num_judged]
        return subject.error(METRICS.get(subject.objective.probability_metric)(own, labels))

    def train_error(self, subject: Subject) -> float:
        own, labels = self.probabilities[self.num_judged :], self.labels[self.num_judged :]
        return subject.error(METRICS.get(subject.objective.probability_metric)(own, labels))

    def losses(self, subject: Subject) -> NDArray[np.float64]:
        """Returns what each image adds to the error; of macro F1 whether it is wrong."""
        own, labels = self.probabilities[: self.num_judged], self.labels[: self.num_judged]
        if subject.objective.direction == "minimize":
            return negative_log_likelihoods(own, labels)
        return np.asarray(own.argmax(axis=1) != labels, dtype=np.float64)


def _on(subject: Subject, size: int, position: int) -> Measurement:
    # From a bag nobody sees how well the images it has are fitted: it says which only in training.
    values = {**subject.values, "bootstrap": False}
    return Measurement(
        spec=subject.spec(f"{size}-images", position, values=values),
        data=FewerImages(
            whole=subject.data, num_images=size, seed=position, num_probes=subject.confirmation.n
        ),
        seconds=_seconds(subject, size),
        told=f"{size} images, seed {position + 1}",
    )


def _seconds(subject: Subject, size: int) -> float:
    over = int(subject.values["images_per_epoch"])
    return subject.seconds * max(size, over) / max(subject.num_images, over)


def _answers(
    wanted: Sequence[Measurement], results: Mapping[str, TrialResult | None]
) -> list[_Answers]:
    found = []
    for one in wanted:
        result = results.get(one.spec.uid)
        if result is None or result.model_file is None:
            continue
        data = one.data.load_cut(str(one.spec.hyperparameters["cut"]), judge=PART)
        if data.judge is None or not isinstance(one.data, FewerImages):
            raise ValueError(f"A training must have been judged on {PART}. Received: {one.told}.")
        judged = len(data.judge) - min(one.data.num_probes, data.training.num_train_images)
        answers = np.load(answers_file(result.model_file))
        labels = data.training.labels[data.judge]
        found.append(_Answers(one.data.num_images, answers, labels, judged))
    return found


def more_data_of(
    sizes: Sequence[SizeRecord], losses: Sequence[NDArray[np.float64]]
) -> MoreDataRecord | None:
    """Returns what a learning curve says of more images.

    None if it has too few sizes, or one on which nothing is wrong: no law has an error of 0.

    Args:
        sizes: Fewest images first; with all images the last.
        losses: Of each size but the last, what each image that judges adds to its error.
    """
    if len(sizes) < FEWEST_POINTS or any(fmean(size.errors) <= 0 for size in sizes):
        return None
    shared = USUAL_CORRELATION
    if len(losses) > 1:
        pairs = [
            float(np.nan_to_num(np.corrcoef(one, other)[0, 1]))
            for place, one in enumerate(losses)
            for other in losses[:place]
        ]
        shared = min(max(fmean(pairs), 0.0), MOST_CORRELATION)
    own = [float(np.sqrt((1 - shared) / len(one)) * one.std()) for one in losses]
    points = [
        CurvePoint(num_images=size.num_images, errors=size.errors, image_error=error)
        for size, error in zip(sizes, [*own, own[-1]], strict=True)
    ]
    whole = points[-1].num_images
    laws, told = power_laws(points), foretold(points)
    return MoreDataRecord(
        error=_range(laws.error(whole)),
        doubled=_range(laws.error(2 * whole)),
        gain=_range(laws.gain(2 * whole)),
        probability=laws.probability(WORTHWHILE, num_images=2 * whole),
        needed=_range(laws.needed(QUARTER), most=FARTHEST * whole),
        foretold=None if told is None else _range(told),
        found=points[-1].mean,
    )


def _range(one: Expected, *, most: float = np.inf) -> RangeRecord:
    value, low, high = (end if end <= most else None for end in (one.value, one.low, one.high))
    return RangeRecord(value=value, low=low, high=high)
