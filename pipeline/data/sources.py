"""Where the files of a public dataset come from: sources tried in order, each failure named."""

import logging
import os
import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pipeline.data import debian
from pipeline.data.datasets import PublicFiles, SourceFile
from pipeline.data.downloads import copy_file, download, is_kept, unpack
from pipeline.data.fetch_params import check_mirror, is_address
from pipeline.errors import ConfigError, DataIntegrityError, SourceError

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "PIPELINE_MIRROR"


# What brings some files into a folder.
_Bring = Callable[[Sequence[SourceFile], Path], None]


def mirror_in_use(mirror: str | None) -> str | None:
    """Returns the mirror: the environment's `PIPELINE_MIRROR`, else `mirror`, else None.

    Raises:
        ConfigError: If the variable is no folder and no http or https address.
    """
    chosen = os.environ.get(MIRROR_VARIABLE)
    if chosen:
        check_mirror(MIRROR_VARIABLE, chosen)
    return chosen or mirror


def obtain(public: PublicFiles, cache: Path, *, mirror: str | None) -> dict[str, Path]:
    """Returns every file of a dataset, verified; brings what `cache` does not hold yet.

    The first failure ends a source's turn, so that a dead one costs one timeout. What it brought
    before that is kept.

    Args:
        public: The files and their sources.
        cache: Folder that keeps the files for the next time.
        mirror: A folder or address that is tried first, see `mirror_in_use`.

    Returns:
        The path of each file in `cache`, by name.

    Raises:
        SourceError: If a file could be had from no source. The message has one line for each
            failure, then what to do by hand.
        ConfigError: If `cache` has no room, or cannot be written.
    """
    missing = [file for file in public.files if not is_kept(file, cache)]
    if missing:
        _check_room(public, cache)
    failures: list[str] = []
    for label, bring in _sources(public, mirror):
        if not missing:
            break
        logger.info("%d files from %s", len(missing), label)
        try:
            bring(missing, cache)
        except (SourceError, DataIntegrityError) as error:
            failures.append(f"{label}: {error}")
            logger.warning("failed: %s", failures[-1])
        missing = [file for file in missing if not (cache / file.name).is_file()]
    if missing:
        raise SourceError(_nowhere(public, missing, failures))
    return {file.name: cache / file.name for file in public.files}


def _sources(public: PublicFiles, mirror: str | None) -> Iterator[tuple[str, _Bring]]:
    """Yields what each source is called, and how to bring files from there."""
    archive = public.archive
    if mirror:
        either = (public.folder, "")
        yield f"mirror {mirror}", partial(_bring_files, place=mirror, folders=either)
        if archive:
            label = f"mirror {mirror}, as {archive.name}"
            yield label, partial(_bring_archive, archive=archive, place=mirror, folders=either)
    for address in public.addresses:
        yield address, partial(_bring_files, place=address)
    if archive:
        for address in public.archive_addresses:
            yield address, partial(_bring_archive, archive=archive, place=address)
    if public.debian_package:
        label = f"Debian's package {public.debian_package}"
        yield label, partial(debian.bring, public.debian_package)


def _bring_files(
    files: Sequence[SourceFile], cache: Path, *, place: str, folders: tuple[str, ...] = ("",)
) -> None:
    for file in files:
        _bring_file(file, cache, place=place, folders=folders)


def _bring_archive(
    files: Sequence[SourceFile],
    cache: Path,
    *,
    archive: SourceFile,
    place: str,
    folders: tuple[str, ...] = ("",),
) -> None:
    if not is_kept(archive, cache):
        _bring_file(archive, cache, place=place, folders=folders)
    unpack(cache / archive.name, files, cache)
    # The members are kept; with the archive beside them they would take twice the room.
    (cache / archive.name).unlink()


def _bring_file(file: SourceFile, cache: Path, *, place: str, folders: tuple[str, ...]) -> None:
    """Brings one file from the first of `folders` below `place` where it is the published one."""
    failures: list[str] = []
    wrong: list[str] = []
    for folder in folders:
        name = f"{folder}/{file.name}".lstrip("/")
        try:
            if is_address(place):
                address = f"{place.rstrip('/')}/{urllib.parse.quote(name)}"
                return download(address, file, cache)
            return copy_file(Path(place).expanduser() / name, file, cache)
        except SourceError as error:
            failures.append(f"{name}: {error}")
        except DataIntegrityError as error:
            wrong.append(str(error))
    # A wrong file says more than that there is none in the other folder.
    if wrong:
        raise DataIntegrityError("; ".join(wrong))
    raise SourceError("; ".join(failures))


def _check_room(public: PublicFiles, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    archive_bytes = public.archive.size_bytes if public.archive else 0
    # Debian's package lies beside what comes out of it for a moment.
    needed = 2 * sum(file.size_bytes for file in public.files) + archive_bytes
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise ConfigError(
            f"{cache} needs {needed / 1e6:,.0f} MB of free disk space. "
            f"Received: {free / 1e6:,.0f} MB. Free some space and run again."
        )


def _nowhere(public: PublicFiles, missing: list[SourceFile], failures: list[str]) -> str:
    hashes = "\n".join(f"    {file.name}  sha256 {file.sha256}" for file in missing)
    archive = public.archive
    instead = f"  or, instead of them, {archive.name}  sha256 {archive.sha256}\n" if archive else ""
    return (
        f"{len(missing)} of {len(public.files)} files could be had from no source:\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + "By hand: on a machine with internet download, for instance from "
        + f"{(*public.addresses, *public.archive_addresses)[0]},\n{hashes}\n{instead}"
        + f"  put them into SOMEWHERE/{public.folder}/, and run again with "
        + f"{MIRROR_VARIABLE}=SOMEWHERE (or fetch.mirror: SOMEWHERE in params.yaml)."
    )
