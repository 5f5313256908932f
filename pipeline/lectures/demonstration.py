"""What `python -m pipeline lecture` can show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.bases.table import NO_BASE

if TYPE_CHECKING:
    from pipeline.hyperparameter import Value
    from pipeline.lectures.comparison import Judged
    from pipeline.search.executors.base import Executor
    from pipeline.training.data import DataReference


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What is trained on.

    Attributes:
        data: By base, what is trained on.
        cuts: By base, whose features.
        defaults: Of params.yaml.
        folder: Where trainings put their files.
        num_seeds: Trainings of each variant, >= 2.
        num_train: Images of the part train.
        epochs_factor: Of what a demonstration trains; below 1 to see in seconds that all of it
            runs.
    """

    data: Mapping[str, DataReference]
    cuts: Mapping[str, str]
    defaults: Mapping[str, Value]
    folder: Path
    num_seeds: int
    num_train: int
    epochs_factor: float = 1.0

    def epochs(self, count: int) -> int:
        """Returns how many epochs are trained where a demonstration wants so many."""
        return max(1, round(count * self.epochs_factor))

    @property
    def pixels(self) -> DataReference:
        """The images themselves."""
        return self.data[NO_BASE]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a demonstration has to show.

    Attributes:
        lines: Its tables, and what they say.
        draw: Writes its figure, a PNG.
        judged: Claims of the lecture, with what came of them.
        write: Writes its model, a `.keras` file, and returns what that is; None: it has none.
    """

    lines: Sequence[str]
    draw: Callable[[Path], None]
    judged: Sequence[Judged] = ()
    write: Callable[[Path], str] | None = None


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One that can be shown.

    Attributes:
        name: On the command line.
        heading: Of the lecture.
        question: That it answers.
        show: Trains what is needed.
        has_base: Whether it needs the features of a base.
        fewest_images: To train on.
    """

    name: str
    heading: str
    question: str
    show: Callable[[Ground, Executor], Shown]
    has_base: bool = False
    fewest_images: int = 0

    @property
    def title(self) -> str:
        """Heading and question."""
        return f"{self.heading}: {self.question}"


GAP: Final = "  "


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Gives the lines of a table, its head first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
