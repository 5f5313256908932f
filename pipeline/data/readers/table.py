"""Labels in a CSV or TSV file beside images: whose row is whose image, of which class and part."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.data.readers.image_index import ImageIndex
from pipeline.data.readers.label_texts import (
    check_one_each,
    check_single_labels,
    class_order,
    one_hot_labels,
)
from pipeline.data.readers.left_out import SAME_FILE, no_label, not_in_table
from pipeline.data.readers.part_names import EVALUATION, claim_of
from pipeline.data.readers.sorting import Entry, Layout, in_order
from pipeline.data.readers.tree import ImageFile, Tree
from pipeline.errors import ConfigError, DataIntegrityError

if TYPE_CHECKING:
    from pipeline.data.fetch_params import LabelsParams

# Names of columns, letters and digits alone in lower case, the likeliest first.
_IMAGE_COLUMNS: Final = (
    *("filename", "filepath", "imagepath", "imagename", "imagefile", "imagefilename", "imgpath"),
    *("imgname", "imgfile", "image", "img", "file", "path", "name", "picture", "photo", "imageid"),
    *("imgid", "photoid", "fileid", "idcode", "isicid", "id", "images", "filenames", "files"),
)
_LABEL_COLUMNS: Final = (
    *("label", "labels", "class", "classes", "classname", "category", "categoryname", "target"),
    *("species", "breed", "labelname", "classid", "labelid", "categoryid", "diagnosis"),
)
_PART_COLUMNS: Final = ("part", "split", "set", "subset", "partition", "dataset", "datasplit")
# What programs write for an empty cell.
_NO_LABEL: Final = frozenset({"nan", "<na>"})
_DELIMITERS: Final = ",;\t|"
_TAB_SUFFIXES: Final = frozenset({".tsv", ".tab"})
_OTHER_TABLES: Final = frozenset({".xlsx", ".xls", ".ods", ".parquet", ".json", ".jsonl", ".npz"})
_MOST_NAMED: Final = 3


# The cells of each column, as text: as many in every one.
_Table = dict[str, list[str]]


def lay_out_table(tree: Tree, choice: LabelsParams) -> Layout:
    """Gives each image the class, and the part, of its row.

    A row's name is an image's path relative to the folder that is read or to the table's own
    folder, or the end of its path; the suffix may be missing.

    Args:
        tree: What lies below the folder; images without a row, or without a label in it, are left
            out there, too.
        choice: The table's file, below the folder; and which of its columns are what, of which
            those that are None are found by their names.

    Raises:
        ConfigError: If there is no such table or column.
        DataIntegrityError: If the table cannot be read, a row has no image or several, or an image
            has several labels.
    """
    table = _read(tree, choice.file)
    part_column = _part_column(table, choice)
    image_column, found = _matched(table, choice, tree)
    label_column, labels = _labels(table, choice, {image_column, part_column})
    parts = _parts(table, part_column, choice.file)
    check_one_each([image.name for image in found], labels, parts, table=choice.file)
    check_single_labels(labels, table=choice.file)
    rows = dict(zip((image.name for image in found), zip(labels, parts, strict=True), strict=True))
    reals = {image.real for image in found}
    left_out, entries, seen = tree.left_out, [], set()
    for image in sorted(tree.top.all_images(), key=lambda image: image.is_linked):
        label, part = rows.get(image.name, (None, ""))
        if label is None and image.real in reals:
            left_out.add(SAME_FILE, image.name)
        elif not label:
            reason = no_label if label == "" else not_in_table
            left_out.add(reason(choice.file), image.name)
        elif (image.real, label, part) in seen:
            left_out.add(SAME_FILE, image.name)
        else:
            seen.add((image.real, label, part))
            entries.append(Entry(image=image, part=part, class_name=label))
    names = class_order({entry.class_name for entry in entries if entry.part == "train"})
    strange = sorted({entry.class_name for entry in entries} - set(names))
    if len(names) < 2 or strange:
        raise DataIntegrityError(
            f"{choice.file} must have two classes or more, all of them in train. Received: "
            f"{', '.join(names) or 'none'} in train, {', '.join(strange) or 'none'} elsewhere only."
        )
    roles = {"image": image_column, "label": label_column, "part": part_column}
    columns = {role: column for role, column in roles.items() if column}
    told = ", ".join(f"{role} from {column!r}" for role, column in columns.items())
    left_out.take_back(choice.file)
    return Layout(
        entries=in_order(entries, names),
        class_names=names,
        left_out=left_out,
        described={"labels": choice.file, "columns": columns},
        text=f"labels are from {choice.file}: {told}",
    )


def _read(tree: Tree, file: str) -> _Table:
    path = tree.root / file
    where = f"fetch.labels must be a CSV or TSV file below fetch.path. Received: {file!r}"
    if not path.is_file():
        others = ", ".join(_other_tables(tree)) or "none"
        raise ConfigError(f"{where}, which is not there. Tables there: {others}.")
    if path.suffix.lower() in _OTHER_TABLES:
        raise ConfigError(f"{where}. Save the table as CSV.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataIntegrityError(
            f"{file} must be UTF-8 text. Received: {error}. Save it so."
        ) from None
    first = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() in _TAB_SUFFIXES else max(_DELIMITERS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(lines.line_num, [_normal(cell.strip()) for cell in row]) for row in lines]
    except csv.Error as error:
        raise DataIntegrityError(
            f"{file} must be a table. Received: line {lines.line_num}: {error}. Mend that line."
        ) from None
    return _checked(file, [(number, row) for number, row in rows if any(row)])


def _normal(cell: str) -> str:
    # So that a class is one, whoever wrote its name.
    return unicodedata.normalize("NFC", cell)


def _other_tables(tree: Tree) -> list[str]:
    names = [name for names in tree.left_out.names.values() for name in names]
    return sorted(n for n in names if PurePosixPath(n).suffix.lower() in {".csv", *_TAB_SUFFIXES})


def _checked(file: str, rows: list[tuple[int, list[str]]]) -> _Table:
    if len(rows) < 2:
        raise DataIntegrityError(
            f"{file} must have a line of column names, and a line for each image. "
            f"Received: {len(rows)} lines."
        )
    columns = rows[0][1]
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise DataIntegrityError(
            f"{file} must have columns of different names. Received: {', '.join(twice)} twice."
        )
    for number, row in rows[1:]:
        if len(row) != len(columns):
            raise DataIntegrityError(
                f"{file} must have {len(columns)} cells in every line, as in its first. "
                f"Received: {len(row)} in line {number}. Put quotes around cells with commas."
            )
    return {name: [row[at] for _, row in rows[1:]] for at, name in enumerate(columns)}


def _column(table: _Table, choice: LabelsParams, role: str, known: Sequence[str]) -> str | None:
    """Returns the column of a role, None if there is none; several that may be it are refused."""
    wanted: str | None = getattr(choice, role)
    if wanted is not None:
        wanted = _normal(wanted)
        if wanted not in table:
            raise ConfigError(
                f"fetch.labels.{role} must be a column of {choice.file}. Received: {wanted!r}. "
                f"Its columns are: {', '.join(table)}."
            )
        return wanted
    found = _candidates(table, known)
    if len(found) > 1:
        raise ConfigError(
            f"{choice.file} has several columns that may be the {role}: {', '.join(found)}. "
            f"Name one: fetch.labels: {{file: {choice.file}, {role}: {found[0]}}}."
        )
    return found[0] if found else None


def _part_column(table: _Table, choice: LabelsParams) -> str | None:
    found = _column(table, choice, "part", _PART_COLUMNS)
    if found is None or choice.part is not None or found.lower() != "dataset":
        return found
    # Which may tell where an image was published.
    return found if any(map(claim_of, table[found])) else None


def _candidates(table: _Table, known: Sequence[str]) -> list[str]:
    plain = {re.sub(r"[\W_]+", "", name.lower()): name for name in reversed(table)}
    return [plain[name] for name in known if name in plain]


def _matched(table: _Table, choice: LabelsParams, tree: Tree) -> tuple[str, list[ImageFile]]:
    """Returns the column of the images, and the image of each row.

    Of several columns that may be it, the one is taken whose cells all name images, unless a
    likelier one names some, or another one names other images.
    """
    named = _column(table, choice, "image", ())
    names = [named] if named is not None else _candidates(table, _IMAGE_COLUMNS)
    if not names:
        raise ConfigError(
            f"{choice.file} must have a column of image names, such as filename, in its first "
            f"line. Received: {', '.join(table)}. "
            f"Name it: fetch.labels: {{file: {choice.file}, image: COLUMN, label: COLUMN}}."
        )
    index = ImageIndex(tree, table=choice.file)
    found = {name: index.find_all(table[name]) for name in names}
    name = next((name for name in names if found[name].num_named), names[0])
    match = found[name]
    if match.problem:
        raise DataIntegrityError(
            f"Every row of {choice.file} must name one image, in column {name!r}. "
            f"Received: {match.problem}. Add the images, or remove the rows; or name another "
            f"column: fetch.labels: {{file: {choice.file}, image: COLUMN}}."
        )
    others = [o for o, one in found.items() if one.images and one.images != match.images]
    if others:
        raise ConfigError(
            f"{choice.file} has several columns that name images, and not the same ones: {name}, "
            f"{', '.join(others)}. Name one: fetch.labels: {{file: {choice.file}, image: {name}}}."
        )
    return name, list(match.images)


def _labels(
    table: _Table, choice: LabelsParams, taken: set[str | None]
) -> tuple[str | None, list[str]]:
    """Returns the column of the labels, None if there is one for each class, and the labels."""
    column = _column(table, choice, "label", _LABEL_COLUMNS)
    if column is not None and column not in taken:
        return column, ["" if cell.lower() in _NO_LABEL else cell for cell in table[column]]
    others = {name: cells for name, cells in table.items() if name and name not in taken}
    one_hot = one_hot_labels(others, table=choice.file)
    if one_hot is not None:
        return None, one_hot
    raise ConfigError(
        f"{choice.file} must have a column of labels, such as label, in its first line. "
        f"Received: {', '.join(table)}. "
        f"Name it: fetch.labels: {{file: {choice.file}, label: COLUMN}}."
    )


def _parts(table: _Table, column: str | None, file: str) -> list[str]:
    if column is None:
        return ["train"] * len(next(iter(table.values())))
    cells = table[column]
    claims = {cell: claim_of(cell) for cell in set(cells)}
    strange = sorted(cell for cell, claim in claims.items() if claim is None or claim.rest)
    if strange:
        raise DataIntegrityError(
            f"Column {column!r} of {file} must say train, val, confirmation or test. Received: "
            f"{', '.join(map(repr, strange[:_MOST_NAMED]))}. Change it, or rename the column."
        )
    parts = {cell: claim.part for cell, claim in claims.items() if claim}
    evaluation = "val" if "test" in parts.values() else "test"
    return [evaluation if parts[c] == EVALUATION else parts[c] for c in cells]
