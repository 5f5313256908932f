"""One search a study: a lock that ends with its process, however that ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import StudyError


@contextmanager
def study_lock(root: Path, study_name: str) -> Iterator[None]:
    """Holds the exclusive right to ask and tell a study.

    Raises:
        StudyError: If another process holds it; the message names its pid.
    """
    folder = root / "mlruns/locks"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / f"{study_name}.pid"
    lock = FileLock(folder / f"{study_name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        pid = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
        raise StudyError(
            f"{study_name} is being searched already, by process {pid}. Wait for it or end it."
        ) from None
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
