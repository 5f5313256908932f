"""Stage `fetch`: a dataset's sources -> data/raw/ (images, labels, parts, manifest).

Run: python -m pipeline fetch
"""

import logging
import posixpath
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from pipeline.config import Section, load_section
from pipeline.data.copies import check_copied
from pipeline.data.datasets import DATASETS, Request
from pipeline.data.labelled import check_labelled, save_raw
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


class FetchParams(Section):
    """Section `fetch`: which images."""

    dataset: str = Field(description="a key of `DATASETS`")
    path: str = Field(min_length=1, description="where the user's own images lie")
    image_size: int = Field(ge=8, le=512, description="side of a folder's images, pixels")
    color: Literal["auto", "rgb", "gray"] = Field(description="what a folder's images become")
    mirror: str | None = Field(description="folder or address tried first, or null")

    @field_validator("dataset")
    @classmethod
    def _is_known(cls, dataset: str) -> str:
        if dataset not in DATASETS:
            raise ValueError(unknown_name("dataset", dataset, list(DATASETS)))
        return dataset

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

    @field_validator("mirror")
    @classmethod
    def _is_folder_or_address(cls, mirror: str | None) -> str | None:
        if mirror is not None:
            check_mirror("mirror", mirror)
        return mirror


def run(params: FetchParams, *, raw: Path, cache: Path) -> None:
    """Brings the dataset's files to `cache`, decodes them, and writes `raw`.

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
        )
    )
    if public:
        data = replace(data, files={file.name: file.sha256 for file in public.files})
    check_labelled(data)
    save_raw(data, raw, dataset=params.dataset)
    logger.info(
        "%d images of shape %s, %d classes",
        len(data.images),
        data.images.shape[1:],
        len(data.class_names),
    )


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    params = load_section(FetchParams, "fetch")
    if DATASETS[params.dataset].is_own:
        check_copied(Path(params.path), root=Path.cwd())
    run(params, raw=RAW, cache=CACHE)
