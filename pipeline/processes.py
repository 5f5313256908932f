"""Processes: the cores they may use, how they end with their parent, and how signals end them.

Ctrl-C and SIGTERM become exceptions, so that every `finally` and `with` on the way ends what it
began. An exception of a signal handler appears wherever the main thread happens to be. In a
finalizer or a callback of C code Python prints it and goes on. So it is also kept, for loops that
run for long to ask.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

import psutil

PR_SET_PDEATHSIG = 1  # linux/prctl.h

_received: list[signal.Signals] = []


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


def core_seconds() -> float:
    """Returns the processor time that this process and all that it started have used, seconds.

    Of those that have ended what their parents learnt by waiting for them.
    """
    own, total = psutil.Process(), 0.0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def listen() -> None:
    """Lets the first SIGINT raise `KeyboardInterrupt`, and the first SIGTERM `SystemExit(143)`.

    A second SIGINT ends the process at once: who presses Ctrl-C again does not want to wait, and
    workers end with their parent. A second SIGTERM means nothing: the kernel sends one for each
    thread of a parent that dies.
    """
    _received.clear()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    sys.unraisablehook = _on_lost


def raise_received() -> None:
    """Raises what a signal asked for, if its exception got lost; for long loops.

    Raises:
        KeyboardInterrupt: After SIGINT.
        SystemExit: After SIGTERM, with code 143.
    """
    if not _received:
        return
    if _received[0] == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + _received[0])


def _on_lost(lost: "sys.UnraisableHookArgs") -> None:
    # In a finalizer an exception gets lost; that of a signal `raise_received` raises again.
    if not (_received and isinstance(lost.exc_value, KeyboardInterrupt | SystemExit)):
        sys.__unraisablehook__(lost)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _end_at_once)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _received.append(signal.Signals(signum))
    raise_received()


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    os._exit(128 + signum)
