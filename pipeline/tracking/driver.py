"""Which process is working on a study, as tags of its parent run, so that a dead one is noticed."""

import platform
from collections.abc import Mapping

# Two readings of one process's start differ by rounding; two processes with one pid by far more.
TOLERANCE_SECONDS = 1.0


def driver_tags() -> dict[str, str]:
    """Returns what identifies this process: host, pid, and when it started."""
    import psutil

    process = psutil.Process()
    return {
        "driver.host": platform.node(),
        "driver.pid": str(process.pid),
        "driver.started": f"{process.create_time():.2f}",
    }


def is_driver_alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that a parent run names still runs.

    Args:
        tags: Of the parent run.

    Returns:
        True also for a process of another machine, which cannot be asked from here.
    """
    import psutil

    if "driver.pid" not in tags:
        return False
    if tags.get("driver.host") != platform.node():
        return True
    try:
        process = psutil.Process(int(tags["driver.pid"]))
        age_matches = abs(process.create_time() - float(tags["driver.started"])) < TOLERANCE_SECONDS
        return age_matches and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
