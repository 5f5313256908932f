"""The section `fetch` of `params.yaml`. Beside the stage, since `check` reads it without NumPy."""

import posixpath
import re
import urllib.parse
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config import Section
from pipeline.data.datasets import DATASETS, names_of_others
from pipeline.data.formats import LARGEST, SMALLEST, ImageSize
from pipeline.data.names import AUTO, LONGEST_NAME, NAME_PATTERN, is_taken
from pipeline.data.parts import PARTS
from pipeline.errors import ConfigError
from pipeline.registry import unknown_name
from pipeline.split_record import SPLIT_FILE

RAW = Path("data/raw")
CACHE = Path("data/cache")
# What the project writes itself: no place for a user's images.
WRITTEN = (
    *(RAW.as_posix(), CACHE.as_posix()),
    *("data/features", SPLIT_FILE.as_posix(), *(f"data/{name}.npz" for name in ("train", "test"))),
    *("data/train_rows.npy", "models", "results", "mlruns"),
)


class LabelsParams(Section):
    """Section `fetch.labels`: a table, and columns whose names do not say what they are."""

    file: str = Field(min_length=1, description="CSV or TSV file below fetch.path")
    image: str | None = Field(default=None, description="column of the images' names")
    label: str | None = Field(default=None, description="column of their classes")
    part: str | None = Field(default=None, description="column of their parts")

    @field_validator("file")
    @classmethod
    def _is_as_found(cls, file: str) -> str:
        return posixpath.normpath(file.replace("\\", "/"))


class FetchParams(Section):
    """Section `fetch`: which images."""

    dataset: str = Field(description="a key of `DATASETS`")
    path: str = Field(min_length=1, description="where the user's own images lie")
    name: str = Field(description="what the data set is called, or auto")
    image_size: ImageSize = Field(description="side of a folder's images, pixels, or auto")
    color: Literal["auto", "rgb", "gray"] = Field(description="what a folder's images become")
    labels: LabelsParams | None = Field(description="a folder's table of labels, or null")
    parts: Literal["auto", "none"] | dict[str, str] = Field(description="a folder's parts")
    value_range: Literal["format", "data"] | tuple[float, float] = Field(
        description="what becomes black and white in gray of more than 8 bits"
    )
    mirror: str | None = Field(description="folder or address tried first, or null")

    @field_validator("dataset")
    @classmethod
    def _is_known(cls, dataset: str) -> str:
        if dataset not in DATASETS:
            raise ValueError(unknown_name("dataset", dataset, list(DATASETS)))
        return dataset

    @field_validator("image_size", mode="before")
    @classmethod
    def _is_size(cls, size: object) -> object:
        if size != AUTO and not (type(size) is int and SMALLEST <= size <= LARGEST):
            raise ValueError(f"must be auto, or a number of pixels, {SMALLEST} to {LARGEST}")
        return size

    @field_validator("path")
    @classmethod
    def _is_apart_from_outputs(cls, path: str) -> str:
        own = posixpath.normpath(path.replace("\\", "/"))
        for out in WRITTEN:
            if own == "." or f"{out}/".startswith(f"{own}/") or f"{own}/".startswith(f"{out}/"):
                raise ValueError(
                    f"must be apart from {out}, which the pipeline writes. "
                    f"Received: path={path!r}. Put your images into a folder of their own, "
                    "such as data/own"
                )
        return path

    @field_validator("name")
    @classmethod
    def _can_be_kept(cls, name: str) -> str:
        if not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(
                f"must be auto, or up to {LONGEST_NAME} of the letters A to Z and a to z, digits, "
                "'.', '_' and '-', of which the first is a letter or digit"
            )
        return name

    @model_validator(mode="after")
    def _is_no_other_data_set(self) -> "FetchParams":
        if is_taken(self.name, names_of_others(self.dataset)):
            raise ValueError(
                f"name must not be that of another data set. Received: name={self.name}, where "
                f"dataset={self.dataset}. Choose another one, or auto"
            )
        return self

    @field_validator("labels", mode="before")
    @classmethod
    def _is_table(cls, labels: object) -> object:
        value = {"file": labels} if isinstance(labels, str) else labels
        if value is not None and not isinstance(value, dict | LabelsParams):
            raise ValueError(
                "must be null, a CSV or TSV file below fetch.path, or "
                "{file: FILE, image: COLUMN, label: COLUMN, part: COLUMN}"
            )
        if isinstance(value, dict) and isinstance(value.get("file"), str):
            _check_below("the file", value["file"])
        return value

    @field_validator("parts", mode="before")
    @classmethod
    def _are_parts(cls, parts: object) -> object:
        if parts in ("auto", "none"):
            return parts
        given = parts if isinstance(parts, dict) else {}
        are_parts = "train" in given and set(given) <= set(PARTS)
        if not are_parts or not all(isinstance(folder, str) for folder in given.values()):
            raise ValueError(
                "must be auto, none, or {train: FOLDER, val: FOLDER, confirmation: FOLDER, "
                "test: FOLDER} with folders below fetch.path, of which train must be there. "
                f"Received: parts={parts!r}"
            )
        for part, folder in given.items():
            _check_below(f"the folder of {part}", folder)
        folders = [posixpath.normpath(folder.replace("\\", "/")) for folder in given.values()]
        if len(set(folders)) < len(folders):
            raise ValueError(f"must name another folder for each part. Received: parts={parts!r}")
        return parts

    @field_validator("value_range", mode="before")
    @classmethod
    def _is_range(cls, value_range: object) -> object:
        if value_range in ("format", "data"):
            return value_range
        given = value_range if isinstance(value_range, list | tuple) else ()
        numbers = [n for n in given if type(n) in (int, float)]
        if not len(given) == len(numbers) == 2 or not numbers[0] < numbers[1]:
            raise ValueError(
                "must be format, data, or two numbers, black's below white's, such as [0, 4095]"
            )
        return tuple(numbers)

    @model_validator(mode="after")
    def _fit_together(self) -> "FetchParams":
        if self.labels is not None and self.parts != "auto":
            raise ValueError(
                "parts must be auto where labels is set: then the table says the parts, in a "
                f"column. Received: parts={self.parts!r}"
            )
        unused = {
            "labels": self.labels is not None,
            "parts": self.parts != "auto",
            "value_range": self.value_range != "format",
        }
        stray = [name for name, is_set in unused.items() if is_set]
        if self.dataset != "folder" and stray:
            raise ValueError(
                f"{', '.join(stray)} must be left as they are, null, auto and format, where "
                f"dataset is not folder. Received: dataset={self.dataset!r}"
            )
        return self

    @field_validator("mirror")
    @classmethod
    def _is_folder_or_address(cls, mirror: str | None) -> str | None:
        if mirror is not None:
            check_mirror("mirror", mirror)
        return mirror


def _check_below(what: str, path: str) -> None:
    own = posixpath.normpath(path.replace("\\", "/"))
    if own.startswith(("/", "../")) or own == ".." or ":" in own[:2]:
        raise ValueError(
            f"{what} must lie below fetch.path, so that DVC sees it change, and be named relative "
            f"to it. Received: {path!r}"
        )


def check_mirror(name: str, mirror: str) -> None:
    """Refuses an address of another kind than http or https.

    Raises:
        ConfigError: If it is one; the message calls the setting `name`.
    """
    if "://" in mirror and not is_address(mirror):
        raise ConfigError(
            f"{name} must be a folder, or an http or https address. Received: {name}={mirror!r}."
        )


def is_address(place: str) -> bool:
    """Whether a place is an http or https address, and not a folder."""
    return urllib.parse.urlsplit(place).scheme in {"http", "https"}
