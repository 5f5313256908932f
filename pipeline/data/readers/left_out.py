"""Why files below a folder are not used, how many they are, and what to do about it.

To add a reason, write it below. Nothing is ever left out without one.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline.data.formats import HEIF_CURE, looks_like_picture

logger = logging.getLogger(__name__)

# Above this share of the pictures, that some are left out is a warning.
MOST_LEFT_OUT: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a file is not used.

    Attributes:
        text: In a few words; the key in the manifest.
        cure: What to do if the file was wanted; empty where its pixels are not lost.
    """

    text: str
    cure: str = ""


LITTER: Final = Reason(text="litter of systems and programs")
HIDDEN: Final = Reason(text="hidden", cure="rename them, without a dot in front")
NO_PICTURE: Final = Reason(text="no picture")
NO_FILE: Final = Reason(text="no regular file")
SAME_FILE: Final = Reason(text="the same file of the same class, reached again by a link")
CYCLE: Final = Reason(text="link to a folder that it lies in")
BROKEN_LINK: Final = Reason(text="link that leads nowhere", cure="bring what the links lead to")
HEIF: Final = Reason(text="HEIC or HEIF, which needs pillow-heif", cure=HEIF_CURE)
AVIF: Final = Reason(
    text="AVIF, which this build of Pillow lacks", cure='pip install --upgrade "pillow>=11.3"'
)
OTHER_FORMAT: Final = Reason(text="format that is not read", cure="save them as JPEG or PNG")
NO_CLASS: Final = Reason(
    text="no class folder",
    cure="move them into a folder of their class, or give fetch.labels, a table of classes",
)
OTHER_FOLDER: Final = Reason(text="outside fetch.parts", cure="name their folder in fetch.parts")


def not_in_table(table: str) -> Reason:
    """Returns the reason of an image that the table of labels does not name."""
    return Reason(text=f"not in {table}", cure=f"add them to {table}")


def no_label(table: str) -> Reason:
    """Returns the reason of an image whose row in the table of labels has an empty label."""
    return Reason(text=f"no label in {table}", cure=f"fill in their labels in {table}")


@dataclass
class LeftOut:
    """The files that are not used, by reason, in the order in which they were found."""

    names: dict[Reason, list[str]] = field(default_factory=dict)

    def add(self, reason: Reason, name: str) -> None:
        """Counts a file, named relative to the folder that is read."""
        self.names.setdefault(reason, []).append(name)

    def take_back(self, name: str) -> None:
        """Takes out a file that is used after all."""
        for reason, names in list(self.names.items()):
            self.names[reason] = [other for other in names if other != name]
            if not self.names[reason]:
                del self.names[reason]

    def counts(self) -> Mapping[str, int]:
        """Returns the number of files for each reason, by its text."""
        return {reason.text: len(self.names[reason]) for reason in self._sorted()}

    def total(self) -> int:
        """Returns the number of all files that are left out."""
        return sum(len(names) for names in self.names.values())

    def lost(self) -> Mapping[Reason, list[str]]:
        """Returns what was probably wanted: pictures, by reason, where there is a cure."""
        wanted = {
            reason: [name for name in self.names[reason] if _is_wanted(reason, name)]
            for reason in self._sorted()
        }
        return {reason: names for reason, names in wanted.items() if names}

    def log(self, where: str, *, num_used: int) -> None:
        """Says in one line what is left out, and warns where that is a share of the pictures.

        Args:
            where: The folder, for the log.
            num_used: Images that are used.
        """
        if self.names:
            listed = "; ".join(_described(self.names[each], each.text) for each in self._sorted())
            logger.info("%s: left out %d files: %s", where, self.total(), listed)
        lost = self.lost()
        num_lost = sum(len(names) for names in lost.values())
        total = num_lost + num_used
        if num_lost > MOST_LEFT_OUT * total:
            cures = ". ".join(
                f"{_described(names, reason.text)}: {reason.cure}" for reason, names in lost.items()
            )
            logger.warning(
                "WARNING: %s: %d of %d pictures (%.0f%%) are left out. %s.",
                *(where, num_lost, total, 100 * num_lost / total, cures),
            )

    def _sorted(self) -> list[Reason]:
        return sorted(self.names, key=lambda reason: (-len(self.names[reason]), reason.text))


def _is_wanted(reason: Reason, name: str) -> bool:
    if not reason.cure:
        return False
    # A link or a hidden file may be anything; all other reasons are of pictures alone.
    return reason not in (HIDDEN, BROKEN_LINK) or looks_like_picture(name)


def _described(names: list[str], text: str) -> str:
    return f"{len(names)} {text} (first: {names[0]})"
