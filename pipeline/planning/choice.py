"""What was chosen for a base, and what else was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.planning.heads import Head
from pipeline.planning.probe import Part


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A base at a size, and the best single cut that a head was put on.

    Attributes:
        model: As `bases.choice.BaseChoice.model`.
        image_size: Pixels.
        part: The cut and its pooling; None where it was left: embedding all images, or these few
            in what is left of the plan's own time, would take too long.
        accuracy: Of a ridge head on it, over the sample, each image left out; in [0, 1].
        expected: Of one that is trained on all training images.
        seconds_per_image: To embed one: in TensorFlow, or, where that is too slow, by what the
            stage `embed` will run it.
        num_images: Of the sample that were looked at.
        is_converted: Whether it was run as the stage `embed` will.
    """

    model: str
    image_size: int
    part: Part | None
    accuracy: float
    expected: float
    seconds_per_image: float
    num_images: int
    is_converted: bool = False


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen for a base.

    Attributes:
        chosen: The base at its size.
        heads: What heads may stand on, the best first.
        plain_heads: Those that there is room for without mirrored images.
        mirror_gain: Of accuracy through mirrored images, with its standard error; None: not asked,
            or no time or room for them.
        is_mirrored: Whether mirrored images are worth embedding, and fit the time.
        candidates: All that were looked at, in this order.
    """

    chosen: Candidate
    heads: Sequence[Head]
    plain_heads: Sequence[Head]
    mirror_gain: tuple[float, float] | None
    is_mirrored: bool
    candidates: Sequence[Candidate]

    @property
    def runner_up(self) -> Candidate | None:
        """The one of which most is expected that was not chosen, if any fits the time."""
        others = [each for each in self.candidates if each.part and each is not self.chosen]
        return max(others, key=lambda each: each.expected, default=None)


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
