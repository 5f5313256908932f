"""Processes: the cores they may use, and how they end when their parent does."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(signum: signal.Signals, parent_pid: int | None = None) -> None:
    """Asks the kernel to send this process a signal when its parent dies, however that dies.

    Linux only; elsewhere it does nothing. The signal follows the thread that started this process,
    so parents start such children from their main thread.

    When it died before this call, the process ends at once. A parent whose pid is not known is
    taken for dead if the present one is of another session: whoever adopts orphans is.

    Args:
        signum: What to send.
        parent_pid: The parent, if it is known.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signum)
    parent = os.getppid()
    is_orphan = os.getsid(parent) != os.getsid(0) if parent_pid is None else parent != parent_pid
    if is_orphan:
        os._exit(1)


def num_cores() -> int:
    """Returns how many cores this process may use, >= 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
