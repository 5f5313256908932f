"""Stage `fetch`: a dataset's sources -> data/raw/ (images, labels, parts, manifest).

Run: python -m pipeline fetch
"""

import logging
import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.checkout import store_root
from pipeline.config import Section, load_section
from pipeline.data.copies import check_copied
from pipeline.data.datasets import DATASETS, Request, names_of_others
from pipeline.data.files import read_json
from pipeline.data.labelled import PARTS, LabelledImages, check_labelled, save_raw
from pipeline.data.names import AUTO, LONGEST_NAME, NAME_PATTERN, auto_name, is_taken
from pipeline.data.readers.stored_size import AUTO as AUTO_SIZE
from pipeline.data.readers.stored_size import LARGEST, SMALLEST, ImageSize
from pipeline.data.readers.table import TableChoice
from pipeline.data.sources import check_mirror, mirror_in_use, obtain
from pipeline.registry import unknown_name

logger = logging.getLogger(__name__)

RAW = Path("data/raw")
CACHE = Path("data/cache")
# `dvc repro` replaces these and `make clean` removes them.
WRITTEN = (
    *(RAW.as_posix(), CACHE.as_posix()),
    *("data/features", "data/split.json", *(f"data/{name}.npz" for name in ("train", "test"))),
    *("models", "results", "mlruns"),
)


class LabelsParams(Section):
    """Section `fetch.labels`: a table, and columns whose names do not say what they are."""

    file: str = Field(min_length=1, description="CSV or TSV file below fetch.path")
    image: str | None = Field(default=None, description="column of the images' names")
    label: str | None = Field(default=None, description="column of their classes")
    part: str | None = Field(default=None, description="column of their parts")


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
        if size != AUTO_SIZE and not (type(size) is int and SMALLEST <= size <= LARGEST):
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
                "must be auto, none, or {train: FOLDER, val: FOLDER, test: FOLDER} with folders "
                f"below fetch.path, of which train must be there. Received: parts={parts!r}"
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


def run(params: FetchParams, *, raw: Path, cache: Path, root: Path = Path()) -> None:
    """Brings the dataset's files to `cache`, decodes them, and writes `raw`.

    Args:
        params: The section.
        raw: Folder of the result.
        cache: Folder that downloads stay in.
        root: The repository, which one's own images may be named after.

    Raises:
        ConfigError: If the user's own path or the mirror cannot be used.
        SourceError: If a file could be had from no source.
        DataIntegrityError: If a file is damaged, or the images are not what later stages need.
    """
    # What an earlier run left belongs to other params, and must not pass for the result of this.
    (raw / "manifest.json").unlink(missing_ok=True)
    spec = DATASETS[params.dataset]
    logger.info("%s: %s", params.dataset, spec.title)
    mirror = mirror_in_use(params.mirror)
    public = spec.public
    files = obtain(public, cache / params.dataset, mirror=mirror) if public else {}
    data = spec.read(
        Request(
            files=files,
            path=Path(params.path),
            image_size=params.image_size,
            color=params.color,
            parts=params.parts,
            labels=TableChoice(**params.labels.model_dump()) if params.labels else None,
            value_range=params.value_range,
        )
    )
    if public:
        data = replace(data, files={file.name: file.sha256 for file in public.files})
    check_labelled(data)
    data = replace(data, source=_source(params))
    save_raw(data, raw, dataset=dataset_name(params, data, root=root))
    logger.info(
        "%d images of shape %s, %d classes",
        len(data.images),
        data.images.shape[1:],
        len(data.class_names),
    )


def _check_below(what: str, path: str) -> None:
    own = posixpath.normpath(path.replace("\\", "/"))
    if own.startswith(("/", "../")) or own == ".." or ":" in own[:2]:
        raise ValueError(
            f"{what} must lie below fetch.path, so that DVC sees it change, and be named relative "
            f"to it. Received: {path!r}"
        )


def dataset_name(params: FetchParams, data: LabelledImages, *, root: Path) -> str:
    """Returns what the data set is called, and says in the log after what.

    One's own images are called what `fetch.name` says; where that is `auto`, after `fetch.path` or
    the checkout: see `names.auto_name`. A name that `auto` has given stays for as long as
    `data/split.json` tells of the same path and classes: a checkout that was renamed or moved, or
    cloned and pulled, goes on with its studies and its registered model. With other classes it is
    named anew, so that a copy of a checkout that gets other images has a name of its own.

    Args:
        params: The section.
        data: What was read, with its source.
        root: The repository; a copy made by `dvc exp run --temp` goes on with its original's name.
    """
    if params.name != AUTO:
        logger.info("data set: %s, as fetch.name says", params.name)
        return params.name
    if not DATASETS[params.dataset].is_own:
        return params.dataset
    name, after = _auto(params, root)
    earlier = _earlier_split(root)
    was = str(earlier.get("dataset", name))
    is_same = earlier.get("source") == dict(data.source)
    if is_same and earlier.get("class_names") == list(data.class_names):
        said = "" if was == name else f", though {after} would be {name}"
        logger.info("data set: %s, as until now%s; fetch.name sets another name", was, said)
        return was
    logger.info("data set: %s, after %s; fetch.name sets another name", name, after)
    # Before there was `fetch.name`, every folder was called `folder`.
    if was != name and (is_same or was == params.dataset):
        logger.warning(
            "it was called %s until now: fetch.name: %s goes on with the studies and the "
            "registered model of that name",
            was,
            was,
        )
    return name


def expected_name(params: FetchParams, root: Path) -> str:
    """Returns what `fetch` would call the data set in a checkout where nothing has run."""
    if params.name != AUTO:
        return params.name
    return _auto(params, root)[0] if DATASETS[params.dataset].is_own else params.dataset


def _auto(params: FetchParams, root: Path) -> tuple[str, str]:
    taken = names_of_others(params.dataset)
    return auto_name(root, params.path, kind=params.dataset, taken=taken)


def _source(params: FetchParams) -> dict[str, str]:
    path = posixpath.normpath(params.path.replace("\\", "/"))
    own = {"path": path, "name": params.name} if DATASETS[params.dataset].is_own else {}
    return {"dataset": params.dataset, **own}


def _earlier_split(root: Path) -> Mapping[str, Any]:
    # Of this stage's own outs DVC leaves none; that of the next one stays until that runs.
    file = store_root(root) / "data/split.json"
    return read_json(file) if file.is_file() else {}


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    params = load_section(FetchParams, "fetch")
    if DATASETS[params.dataset].is_own:
        check_copied(Path(params.path), root=Path.cwd())
    run(params, raw=RAW, cache=CACHE)
