"""Stage `fetch`: a dataset's sources -> data/raw/ (images, labels, parts, manifest).

Run: python -m pipeline fetch
"""

import logging
import posixpath
from dataclasses import replace
from pathlib import Path

from pipeline.config import load_section
from pipeline.data.datasets import DATASETS, names_of_others
from pipeline.data.fetch_params import CACHE, RAW, FetchParams
from pipeline.data.labelled import MANIFEST, LabelledImages, check_labelled, save_raw
from pipeline.data.names import AUTO, auto_name
from pipeline.data.sources import mirror_in_use, obtain
from pipeline.errors import ConfigError
from pipeline.split_record import find_split
from pipeline.workspace import store_root

logger = logging.getLogger(__name__)


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
    (raw / MANIFEST).unlink(missing_ok=True)
    spec = DATASETS[params.dataset]
    logger.info("%s: %s", params.dataset, spec.title)
    mirror = mirror_in_use(params.mirror)
    public = spec.public
    files = obtain(public, cache / params.dataset, mirror=mirror) if public else {}
    data = spec.read(params, files, raw)
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
    # Of this stage's own outs DVC leaves none; that of the next one stays until that runs.
    earlier = find_split(store_root(root))
    was = earlier.dataset if earlier else name
    is_same = earlier is not None and earlier.source == data.source
    if earlier and is_same and earlier.class_names == data.class_names:
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


def check_copied(path: Path, *, root: Path) -> None:
    """Makes sure that a copy of the repository holds the images that its original holds.

    `dvc exp run --temp` and `--queue` copy what git and DVC track: of images that neither tracks,
    the copy may hold an empty folder, or some of the classes. In the original, the log says what a
    copy would lack.

    Args:
        path: The images; relative to `root`, or absolute, which is the same place in every copy.
        root: The repository that a stage runs in.

    Raises:
        ConfigError: If `root` is such a copy, and what is directly below `path` in the original is
            not all there. A folder that DVC tracks as a whole is what the copy's commit says.
    """
    is_within = (root / path).resolve().is_relative_to(root.resolve())
    if not is_within or any((root / f"{p}.dvc").is_file() for p in (path, *path.parents) if p.name):
        return
    original = store_root(root)
    lacking = sorted(_entries(original / path) - _entries(root / path))
    if lacking:
        named = ", ".join([*lacking[:3], *(["..."] if len(lacking) > 3 else [])])
        raise ConfigError(
            f"fetch.path must be tracked by DVC for `dvc exp run --temp` and `--queue`, which copy "
            f"only what git and DVC track. Received: {path}, of which the copy lacks {named}. "
            f"Run `dvc add {path}`, or run without --temp and --queue."
        )
    if original == root.resolve() and _entries(root / path):
        logger.info(
            "%s is not tracked by DVC: `dvc add %s` takes it to clones, and to the copies that "
            "`dvc exp run --temp` and `--queue` run in",
            path,
            path,
        )


def _entries(folder: Path) -> set[str]:
    """Returns the names directly below a folder, but for what git and DVC keep there."""
    if not folder.is_dir():
        return set()
    names = (entry.name for entry in folder.iterdir())
    return {name for name in names if not name.startswith(".") and not name.endswith(".dvc")}


def _auto(params: FetchParams, root: Path) -> tuple[str, str]:
    taken = names_of_others(params.dataset)
    return auto_name(root, params.path, kind=params.dataset, taken=taken)


def _source(params: FetchParams) -> dict[str, str]:
    path = posixpath.normpath(params.path.replace("\\", "/"))
    own = {"path": path, "name": params.name} if DATASETS[params.dataset].is_own else {}
    return {"dataset": params.dataset, **own}


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    params = load_section(FetchParams, "fetch")
    if DATASETS[params.dataset].is_own:
        check_copied(Path(params.path), root=Path.cwd())
    run(params, raw=RAW, cache=CACHE)
