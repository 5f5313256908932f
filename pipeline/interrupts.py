"""Ctrl-C and SIGTERM: exceptions, so that every `finally` and `with` on the way ends what it began.

An exception of a signal handler appears wherever the main thread happens to be. In a finalizer or a
callback of C code Python prints it and goes on. So it is also kept, for loops that run for long to
ask.
"""

import os
import signal
from types import FrameType

_received: list[signal.Signals] = []


def listen() -> None:
    """Lets the first SIGINT raise `KeyboardInterrupt`, and the first SIGTERM `SystemExit(143)`.

    A second SIGINT ends the process at once: who presses Ctrl-C again does not want to wait, and
    workers end with their parent. A second SIGTERM means nothing: the kernel sends one for each
    thread of a parent that dies.
    """
    _received.clear()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)


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


def _interrupt(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _end_at_once)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _received.append(signal.Signals(signum))
    raise_received()


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    os._exit(128 + signum)
