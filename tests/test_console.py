"""A stage says that it is at work: calmly on a terminal, in plain lines elsewhere."""

import logging
import os
import re
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from pipeline import console
from pipeline.console import QUIET, at_work, stage_lines
from pipeline.steps import step
from testing.terminal import Terminal

logger = logging.getLogger("pipeline.stages.embed")
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv(QUIET, raising=False)
    return tmp_path


class TestElsewhere:
    def test_a_line_has_its_time_and_its_stage(self, folder, capsys):
        with at_work("embed", folder):
            logger.info("%d images", 7)
            logging.getLogger("library.store").warning("100%% of %s", "it")
        first, second, last = capsys.readouterr().err.splitlines()
        assert re.fullmatch(f"{STAMP} embed: 7 images", first)
        assert re.fullmatch(f"{STAMP} library.store: 100% of it", second)
        assert re.fullmatch(f"{STAMP} embed: done in 0:00", last)

    def test_each_line_is_there_at_once(self, folder, monkeypatch):
        file = (folder / "log").open("w")
        monkeypatch.setattr(sys, "stderr", file)
        with file, at_work("embed", folder):
            logger.info("one")
            assert (folder / "log").read_text().endswith("embed: one\n")

    @pytest.mark.parametrize("is_quiet", [False, True])
    def test_a_stage_goes_on_where_nobody_reads_any_more(self, folder, monkeypatch, is_quiet):
        reader, writer = os.pipe()
        os.close(reader)
        ended = False
        stream = os.fdopen(writer, "w", buffering=1)
        monkeypatch.setattr(sys, "stderr", stream)
        with at_work("embed", folder, is_quiet=is_quiet):
            logger.warning("one")
            ended = True
        monkeypatch.undo()
        with suppress(OSError):
            stream.close()
        assert ended

    def test_lines_come_while_tensorflow_is_imported(self, folder):
        """What is written to file descriptor 2 is kept back until then."""
        code = (
            "import logging, pathlib\n"
            "from pipeline.console import at_work\n"
            "from pipeline.training.devices import without_startup_lines\n"
            "with at_work('embed', pathlib.Path.cwd()), without_startup_lines():\n"
            "    logging.getLogger('pipeline').info('meanwhile')\n"
            "    input()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            is_there = select.select([process.stderr], [], [], 60)[0] != []
            _, said = process.communicate("\n")
        assert is_there
        assert "embed: meanwhile\n" in said

    def test_a_traceback_is_written_too(self, folder, capsys):
        with at_work("embed", folder):
            try:
                raise ValueError("broken")
            except ValueError:
                logger.exception("it failed")
        assert "ValueError: broken" in capsys.readouterr().err

    def test_logging_is_left_as_it_was(self, folder):
        root = logging.getLogger()
        before = [*root.handlers], root.level
        with pytest.raises(ValueError, match="broken"), at_work("embed", folder):
            raise ValueError("broken")
        assert ([*root.handlers], root.level) == before

    def test_a_stage_that_fails_is_not_done(self, folder, capsys):
        with pytest.raises(ValueError, match="broken"), at_work("embed", folder):
            raise ValueError("broken")
        assert "done" not in capsys.readouterr().err


class TestHeartbeat:
    @pytest.fixture(autouse=True)
    def fast(self, monkeypatch):
        monkeypatch.setattr(console, "SILENT_SECONDS", 0.05)
        monkeypatch.setattr(console, "TICK_SECONDS", 0.01)

    def beats(self):
        return [one for one in threading.enumerate() if one.name == "heartbeat"]

    def wait_for(self, capsys, text):
        seen, ends = "", time.monotonic() + 60
        while text not in seen:
            assert time.monotonic() < ends, seen
            time.sleep(0.01)
            seen += capsys.readouterr().err
        return seen

    def test_a_stage_that_says_nothing_is_told_to_be_at_work(self, folder, capsys):
        with at_work("embed", folder), step("lite0", total=92, unit="batches") as one:
            one.advance(34)
            seen = self.wait_for(capsys, "lite0")
        assert re.search(f"{STAMP} embed: at work 0:00; lite0: 34 of 92 batches\n", seen)

    def test_it_stops_with_its_stage(self, folder, capsys):
        with at_work("embed", folder):
            assert len(self.beats()) == 1
        assert self.beats() == []

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_it_stops_with_an_exception(self, folder, error):
        with pytest.raises(error), at_work("embed", folder):
            raise error
        assert self.beats() == []

    def test_a_quiet_stage_has_none(self, folder):
        with at_work("embed", folder, is_quiet=True):
            assert self.beats() == []


class TestQuiet:
    def run(self, folder):
        with at_work("embed", folder, is_quiet=True):
            logger.info("one")
            logger.warning("careful")
            logger.info("two")

    def test_warnings_and_the_last_line_are_left(self, folder, capsys):
        self.run(folder)
        warning, last = capsys.readouterr().err.splitlines()
        assert warning.endswith("embed: careful")
        assert last.endswith("embed: two (0:00)")

    def test_the_environment_says_it_for_a_whole_run(self, folder, capsys, monkeypatch):
        monkeypatch.setenv(QUIET, "1")
        with at_work("embed", folder):
            logger.info("one")
            logger.info("two")
        assert len(capsys.readouterr().err.splitlines()) == 1

    def test_after_an_error_nothing_is_added(self, folder, capsys):
        def fail():
            logger.info("one")
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"), at_work("embed", folder, is_quiet=True):
            fail()
        assert capsys.readouterr().err == ""


def test_what_a_stage_took_the_last_time_is_told_where_it_says_no_more():
    assert stage_lines("report", 5, 0.0, last_time=7) == ["report 0:05 (0:07 the last time)"]
    assert stage_lines("report", 65, 0.0, last_time=None) == ["report 1:05"]
    with step("reading"):
        assert stage_lines("report", 5, 0.0, last_time=7) == ["report 0:05", "reading"]


def test_a_stage_that_takes_longer_than_the_last_time_says_so():
    (line,) = stage_lines("report", 61, 0.0, last_time=50)
    assert line == "report 1:01, longer than estimated (0:50 the last time)"


PROGRAM = """
import logging, sys, time
from pathlib import Path
from pipeline import console
from pipeline.console import at_work
from pipeline.processes import listen
from pipeline.steps import step

console.TICK_SECONDS = 0.05
listen()
log = logging.getLogger("pipeline.stages.embed")
try:
    with at_work("embed", Path.cwd()), step("lite0", total=9, unit="images") as one:
        log.info("a line of the log")
        one.advance(4)
        if "{what}" == "wait":
            time.sleep(60)
        elif "{what}" == "fail":
            raise ValueError("broken")
        time.sleep(0.3)
        print("printed")
        log.info("the last line")
except KeyboardInterrupt:
    print("embed: interrupted", file=sys.stderr)
    sys.exit(130)
"""


class TestOnATerminal:
    def start(self, folder, what, **options):
        return Terminal(PROGRAM.replace("{what}", what), folder, **options)

    def test_only_the_log_is_left_standing(self, folder):
        terminal = self.start(folder, "end")
        assert terminal.wait() == 0
        assert "lite0: 4 of 9 images" in terminal.seen
        first, printed, last, done = terminal.screen()
        assert re.fullmatch(r"\d\d:\d\d:\d\d embed: a line of the log", first)
        assert printed == "printed"
        assert (last[9:], done[9:]) == ("embed: the last line", "embed: done in 0:00")

    @pytest.mark.parametrize("columns", [80, 50])
    def test_ctrl_c_leaves_it_clean(self, folder, columns):
        terminal = self.start(folder, "wait", columns=columns)
        terminal.wait_for("lite0: 4 of 9 images")
        terminal.write("\x03")
        assert terminal.wait() == 130
        *_, log, last = terminal.screen()
        assert (log[9:], last) == ("embed: a line of the log", "embed: interrupted")

    def test_an_error_leaves_it_clean(self, folder):
        terminal = self.start(folder, "fail")
        assert terminal.wait() == 1
        assert terminal.screen()[1].startswith("Traceback")

    def test_the_cursor_is_never_hidden(self, folder):
        """So that nothing has to show it again, however the stage ends."""
        terminal = self.start(folder, "end")
        terminal.wait()
        assert "\x1b[?25l" not in terminal.seen

    def test_a_resize_ends_nothing(self, folder):
        terminal = self.start(folder, "wait")
        terminal.wait_for("lite0: 4 of 9 images")
        terminal.resize(30)
        before = len(terminal.seen)
        while len(terminal.seen) < before + 200:
            terminal._read(1.0)
        terminal.write("\x03")
        assert terminal.wait() == 130

    def test_a_terminal_that_cannot_rewrite_gets_plain_lines(self, folder):
        terminal = self.start(folder, "end", TERM="dumb")
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.seen
        assert re.match(f"{STAMP} embed: a line of the log\r\n", terminal.seen)

    def test_nor_does_a_quiet_stage_rewrite_anything(self, folder):
        terminal = self.start(folder, "end", PIPELINE_QUIET="1")
        terminal.wait()
        assert "\x1b" not in terminal.seen
        printed, last = terminal.seen.splitlines()
        assert printed == "printed"
        assert last.endswith("embed: the last line (0:00)")
