"""Files out of a Debian package, had with `apt-get download`: nothing is installed, no root needed.

The package lists are private too, since many machines and images come with empty ones.
"""

import shutil
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.datasets import SourceFile
from pipeline.data.downloads import take_members
from pipeline.errors import SourceError
from pipeline.steps import Step, step

# Hooks that a machine runs after an update of its own lists (clearing caches, refreshing software
# centres) have no business with private ones. Only a file can clear a list of hooks.
_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
"""
_LONGEST_SECONDS = 900.0


def bring(package: str, files: Sequence[SourceFile], folder: Path) -> None:
    """Brings files that a package holds to `folder/NAME`, each checked.

    Args:
        package: Its name; which version does not matter, since the files' hashes do.
        files: The files, found in the package by the last part of their path.
        folder: Where they go. A sub-folder `apt.part` is used meanwhile, and removed.

    Raises:
        SourceError: If apt-get is not here or cannot have the package.
        DataIntegrityError: If the package lacks a file, or holds another one.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise SourceError(f"{tool} is not on this machine (it is on Debian and Ubuntu)")
    private = (folder / "apt.part").absolute()
    shutil.rmtree(private, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial", "package"):
        (private / name).mkdir(parents=True)
    try:
        deb = _download(package, private, num_bytes=sum(file.size_bytes for file in files))
        _unpack(deb, files, folder)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _download(package: str, private: Path, *, num_bytes: int) -> Path:
    configuration = private / "apt.conf"
    configuration.write_text(_CONFIGURATION, encoding="utf-8")
    apt_get = [
        *("apt-get", "-q", "-c", str(configuration)),
        *("-o", f"Dir::State::Lists={private / 'lists'}", "-o", f"Dir::Cache={private / 'cache'}"),
    ]
    # One unreachable archive among several fails the update, yet the package may be in another.
    updated, update_errors = _run([*apt_get, "update"], private / "package", bar=None)
    with step(package, total=num_bytes, unit="bytes") as bar:
        loaded, load_errors = _run([*apt_get, "download", package], private / "package", bar=bar)
    debs = sorted((private / "package").glob("*.deb"))
    if loaded != 0 or not debs:
        errors = load_errors + (update_errors if updated != 0 else [])
        raise SourceError("apt-get: " + ("; ".join(dict.fromkeys(errors)) or f"exit {loaded}"))
    return debs[0]


def _run(command: list[str], folder: Path, *, bar: Step | None) -> tuple[int, list[str]]:
    """Runs a command in `folder`, moving `bar` as files grow there; returns its exit and errors."""
    give_up = time.monotonic() + _LONGEST_SECONDS
    with (folder / "messages").open("w+", encoding="utf-8", errors="replace") as messages:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages
        )
        try:
            while process.poll() is None:
                if time.monotonic() > give_up:
                    raise SourceError(f"apt-get took longer than {_LONGEST_SECONDS:.0f} s")
                time.sleep(0.05)
                if bar is not None:
                    bar.advance(_size_bytes(folder) - bar.done)
        finally:
            process.kill()
            process.wait()
        messages.seek(0)
        errors = [line[3:].strip() for line in messages if line.startswith("E: ")]
    return process.returncode, errors


def _size_bytes(folder: Path) -> int:
    sizes = 0
    for path in folder.glob("*.deb*"):
        try:
            sizes += path.stat().st_size
        except FileNotFoundError:
            continue  # Renamed between the two calls.
    return sizes


def _unpack(deb: Path, files: Sequence[SourceFile], folder: Path) -> None:
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        if process.stdout is None:
            raise SourceError("dpkg-deb gave no output")
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                take_members(tar, files, folder, label=deb.name)
        except tarfile.TarError as error:
            raise SourceError(f"{deb.name} is no Debian package: {error}") from None
        finally:
            process.kill()
