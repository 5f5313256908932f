"""What a person sees of a stage while it runs, and what goes into a log file.

On a terminal: the lines of the log, and below them a few that are rewritten once a second, of what
`pipeline.steps` says that the stage is busy with. Elsewhere plain lines; where nothing is said for
`SILENT_SECONDS`, one of the same. `--quiet` leaves warnings, errors and a stage's last line.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from pipeline.durations import OVERRUN, duration
from pipeline.steps import shown
from pipeline.whole_run import Run

SILENT_SECONDS: Final = 30.0
"""After which a plain line says that a stage is still at work."""
TICK_SECONDS: Final = 1.0
QUIET: Final = "PIPELINE_QUIET"
"""Environment variable, for a whole `dvc repro`; any value but an empty one."""
LATE: Final = 1.2
"""Times what a stage took the last time, from which on it takes longer."""

Lines = Callable[[], list[str]]


class Log(logging.Handler):
    """Writes the log, each line at once, and knows when it last did.

    Args:
        stage: Written where the name of a module of this package would say less.
        write: Takes a line without its end.
        is_quiet: Whether what is no warning is kept back: see `last`.
        has_date: Whether the date is written before the time.
    """

    def __init__(
        self, stage: str, write: Callable[[str], None], *, is_quiet: bool, has_date: bool
    ) -> None:
        super().__init__()
        self._stage, self._write, self._is_quiet = stage, write, is_quiet
        self.last: str | None = None
        self.written_at = time.monotonic()
        date = "%Y-%m-%d " if has_date else ""
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", f"{date}%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; whoever reads may be gone, which is no reason for a stage to end."""
        try:
            self._emit(record)
        except Exception:  # noqa: BLE001 - as the handlers of `logging` do
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        is_own = record.name.partition(".")[0] == "pipeline"
        source = self._stage if is_own else record.name
        line = self.format(
            logging.makeLogRecord({**vars(record), "msg": f"{source}: {record.msg}"})
        )
        if self._is_quiet and record.levelno < logging.WARNING:
            self.last = line
        else:
            self.write(line)

    def write(self, line: str) -> None:
        """Writes a line as it is."""
        self.written_at = time.monotonic()
        self._write(line)

    def say(self, text: str) -> None:
        """Writes what is no record of a logger."""
        self.handle(logging.makeLogRecord({"name": "pipeline", "msg": "%s", "args": (text,)}))


def stage_lines(stage: str, seconds: float, now: float, *, last_time: float | None) -> list[str]:
    """Returns what a stage is busy with: a line with its time, and those of what is shown.

    Args:
        stage: Its name.
        seconds: Since its start.
        now: Seconds of `time.monotonic`.
        last_time: What it took the last time, seconds, or None.
    """
    first = f"{stage} {duration(seconds)}"
    inner = [line for one in shown() for line in one.lines(now)]
    if last_time is not None and not inner:
        late = f", {OVERRUN}" if seconds > LATE * last_time else ""
        first = f"{first}{late} ({duration(last_time)} the last time)"
    return [first, *inner]


@contextmanager
def at_work(stage: str, root: Path, *, is_quiet: bool = False) -> Iterator[None]:
    """Shows a stage on stderr as long as the block runs, and takes its log meanwhile.

    Args:
        stage: Its name in dvc.yaml.
        root: The repository.
        is_quiet: See the module.
    """
    began, run = time.monotonic(), Run(stage, root)
    is_quiet = is_quiet or bool(os.environ.get(QUIET))
    is_live = not is_quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def lines() -> list[str]:
        now = time.monotonic()
        found = stage_lines(stage, now - began, now, last_time=run.last_time)
        return [*found, *filter(None, [run.line()])]

    with ExitStack() as stack:
        stream = stack.enter_context(_own(sys.stderr))
        write = stack.enter_context(_live(lines, stream)) if is_live else _plain(stream)
        log = Log(stage, write, is_quiet=is_quiet, has_date=not is_live)
        stack.enter_context(_logging_to(log))
        if not is_live and not is_quiet:
            stack.enter_context(_heartbeat(stage, log, lines))
        yield
        seconds = time.monotonic() - began
        if is_quiet:
            with suppress(OSError):  # As above.
                log.write(f"{log.last or f'{stage}: done'} ({duration(seconds)})")
        else:
            log.say(f"done in {duration(seconds)}")
        run.note(seconds)


@contextmanager
def _own(stream: TextIO) -> Iterator[TextIO]:
    """Gives a stream to the same place that stays where file descriptor 2 is put aside.

    `training.devices.without_startup_lines` does so while TensorFlow is imported, for half a minute
    on a busy machine.
    """
    try:
        number = os.dup(stream.fileno())
    except OSError:  # It is none of the system's, as in a test.
        yield stream
        return
    own = os.fdopen(number, "w", encoding=stream.encoding, errors=stream.errors)
    try:
        yield own
    finally:
        with suppress(OSError):  # What nobody reads any more cannot be flushed.
            own.close()


def _plain(stream: TextIO) -> Callable[[str], None]:
    return lambda line: print(line, file=stream, flush=True)


@contextmanager
def _live(lines: Lines, stream: TextIO) -> Iterator[Callable[[str], None]]:
    """Rewrites the lines below the log once a second, and gives what writes into the log."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    class Terminal(Console):
        def show_cursor(self, show: bool = True) -> bool:
            # Never hidden, so that no way to end leaves it so: not a second Ctrl-C, not SIGKILL.
            return False

    def text() -> Text:
        first, *others = lines()
        return Text.assemble((first, "bold"), *(f"\n  {one}" for one in others))

    terminal = Terminal(
        file=stream, force_terminal=True, highlight=False, markup=False, emoji=False
    )
    with Live(
        get_renderable=text,
        console=terminal,
        refresh_per_second=1 / TICK_SECONDS,
        transient=True,
        # What goes into a file or to another program stays there.
        redirect_stdout=sys.stdout.isatty(),
    ):
        yield lambda line: terminal.print(line, soft_wrap=True)


@contextmanager
def _logging_to(log: Log) -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(log)
        root.setLevel(level)


@contextmanager
def _heartbeat(stage: str, log: Log, lines: Lines) -> Iterator[None]:
    """Writes the lines as one whenever nothing was written for a while, whatever the work does."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(TICK_SECONDS):
            if time.monotonic() - log.written_at >= SILENT_SECONDS:
                first, *others = lines()
                log.say("; ".join([first.replace(stage, "at work", 1), *others]))

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
