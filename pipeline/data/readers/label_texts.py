"""Whether texts are labels of one class each; several classes at once are another problem."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.errors import DataIntegrityError

_ONE_EACH: Final = "An image must have one class: this pipeline makes single-label classifiers"
_LIST: Final = re.compile(r"^\s*[\[({].*[\])}]\s*$")
_ONE, _ZERO = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})


def check_one_each(
    images: Sequence[str], labels: Sequence[str], parts: Sequence[str], *, table: str
) -> None:
    """Refuses an image that several rows give different labels, or different parts."""
    seen: dict[str, tuple[str, str]] = {}
    for image, *row in zip(images, labels, parts, strict=True):
        first = seen.setdefault(image, (row[0], row[1]))
        if first != tuple(row):
            raise DataIntegrityError(
                f"{_ONE_EACH}, in one part. Received: {image} in {table} as {first[0]!r} in "
                f"{first[1]} and as {row[0]!r} in {row[1]}. Keep one row of each image."
            )


def check_single_labels(labels: Sequence[str], *, table: str) -> None:
    """Refuses labels that are several: lists, or parts that are labels of other rows.

    "a|b" and "a;b" are always taken for two; "a, b" and "a b" only if a and b are labels
    themselves, or if the words are fewer than the labels, which have different numbers of them.
    """
    distinct = sorted(set(labels) - {""})
    known = set(distinct)
    for label in distinct:
        if not label.isprintable():
            raise DataIntegrityError(
                f"A class needs a name of printable characters. Received: {label!r} in {table}."
            )
        is_several = bool(_LIST.match(label) or re.search(r"\S\s*[|;]\s*\S", label))
        for separator in (r"\s*,\s*", r"\s+"):
            pieces = re.split(separator, label.strip())
            is_several = is_several or (len(pieces) > 1 and set(pieces) <= known)
        if is_several:
            raise _several(label, table)
    lengths = {len(label.split()) for label in distinct}
    words = {word for label in distinct for word in label.split()}
    if len(lengths) > 1 and len(words) < len(distinct):
        raise _several(max(distinct, key=lambda label: len(label.split())), table)


def one_hot_labels(cells: Mapping[str, Sequence[str]], *, table: str) -> list[str] | None:
    """Returns the name of the column that holds a 1, for each row; None if cells are not 0 and 1.

    Args:
        cells: By column, one cell a row.
        table: The table's name, for messages.

    Raises:
        DataIntegrityError: If a row has no 1, or several.
    """
    if len(cells) < 2:
        return None
    rows = list(zip(*([cell.lower() for cell in column] for column in cells.values()), strict=True))
    if not all(cell in _ONE | _ZERO for row in rows for cell in row):
        return None
    for number, row in enumerate(rows):
        num_ones = sum(cell in _ONE for cell in row)
        if num_ones != 1:
            raise DataIntegrityError(
                f"{_ONE_EACH}. Received: {num_ones} columns of {table} that are 1 in row "
                f"{number + 1}, of {', '.join(cells)}. Make a column of one label each."
            )
    names = list(cells)
    return [names[[cell in _ONE for cell in row].index(True)] for row in rows]


def class_order(names: set[str]) -> tuple[str, ...]:
    """Returns class names in order: by number if all are finite numbers, else as text.

    >>> class_order({"10", "9"}), class_order({"b", "10", "9"}), class_order({"nan", "10", "9"})
    (('9', '10'), ('10', '9', 'b'), ('10', '9', 'nan'))
    """
    try:
        numbers = {name: float(name) for name in names}
    except ValueError:
        return tuple(sorted(names))
    are_finite = all(map(math.isfinite, numbers.values()))
    return tuple(sorted(names, key=lambda name: (numbers[name] if are_finite else 0, name)))


def _several(label: str, table: str) -> DataIntegrityError:
    return DataIntegrityError(
        f"{_ONE_EACH}. Received: {label!r} in {table}, which reads as several labels. If it is one "
        "class, write its name with _ between the words."
    )
