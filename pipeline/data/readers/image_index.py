"""Finds images by the names that a table gives them."""

import logging
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Final

from pipeline.data.readers.part_names import claim_of
from pipeline.data.readers.tree import ImageFile, Tree

logger = logging.getLogger(__name__)

_MOST_NAMED: Final = 3


@dataclass(frozen=True, kw_only=True)
class Match:
    """What the rows of a table name.

    Attributes:
        images: The image of each row; empty where a row has none, or several.
        problem: What is wrong then.
        num_named: Rows that name one image or several.
    """

    images: Sequence[ImageFile] = ()
    problem: str | None = None
    num_named: int


class ImageIndex:
    """The images of a tree by all names that may be meant by a row.

    Args:
        tree: What lies below the folder.
        table: The table, whose folder names may be relative to.
    """

    def __init__(self, tree: Tree, *, table: str) -> None:
        folder = PurePosixPath(table).parent
        self._prefixes = ["", *([f"{folder}/"] if str(folder) != "." else [])]
        self._exact: dict[str, list[ImageFile]] = defaultdict(list)
        # Of a file that links lead to, one is enough.
        self._ends: dict[str, dict[str, ImageFile]] = defaultdict(dict)
        self._left_out = {
            end: reason.text
            for reason, names in tree.left_out.names.items()
            for name in names
            for end in (PurePosixPath(name).name, PurePosixPath(name).stem)
        }
        for image in sorted(tree.top.all_images(), key=lambda image: image.is_linked):
            for name in {_normal(image.name), _normal(image.stem)}:
                self._exact[name].append(image)
                for start in range(name.count("/") + 1):
                    self._ends[name.split("/", start)[-1]].setdefault(image.real, image)

    def find_all(self, names: Sequence[str]) -> Match:
        """Returns the image of each name, or what is wrong if a name has none or several."""
        found = [self._find(name) for name in map(_plain, names)]
        if not any(found):
            # Of another machine's folders, which all rows share.
            shorter, folder = _without_common_folder(names)
            found = [self._find(name) for name in shorter]
            if any(found):
                logger.info("%s/, which all rows name, is not looked for", folder)
        num_named = sum(map(bool, found))
        missing = [name for name, images in zip(names, found, strict=True) if not images]
        if missing:
            reason = self._left_out.get(PurePosixPath(_plain(missing[0])).name)
            why = f" ({missing[0]} is left out: {reason})" if reason else ""
            problem = f"{len(missing)} of {len(names)} rows without an image: {_some(missing)}{why}"
            return Match(problem=problem, num_named=num_named)
        several = [(n, images) for n, images in zip(names, found, strict=True) if len(images) > 1]
        if several:
            name, images = several[0]
            these = _some([image.name for image in images])
            problem = f"{len(several)} rows that name several, such as {name!r}: {these}"
            return Match(problem=problem, num_named=num_named)
        return Match(images=[images[0] for images in found], num_named=num_named)

    def _find(self, name: str) -> list[ImageFile]:
        if not name:
            return []
        for prefix in self._prefixes:
            if images := self._exact.get(f"{prefix}{name}"):
                return images
        return list(self._ends.get(name, {}).values())


def _plain(name: str) -> str:
    return _normal(name.replace("\\", "/").removeprefix("./").strip("/"))


def _normal(name: str) -> str:
    # A Mac writes an accent as a character of its own.
    return unicodedata.normalize("NFC", name)


def _without_common_folder(names: Sequence[str]) -> tuple[list[str], str]:
    """Returns names without the folders that all share, up to one that says a part; and these."""
    pieces = [_plain(name).split("/") for name in names]
    levels = zip(*(folders[:-1] for folders in pieces), strict=False)

    def is_shared(level: tuple[str, ...]) -> bool:
        return len(set(level)) == 1 and claim_of(level[0]) is None

    num_shared = len(list(takewhile(is_shared, levels)))
    return ["/".join(own[num_shared:]) for own in pieces], "/".join(pieces[0][:num_shared])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
