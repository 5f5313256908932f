"""A process on a pseudo-terminal, and what a person sees there in the end."""

import os
import pty
import re
import select
import struct
import sys
import termios
import time
from fcntl import ioctl

PARTS = re.compile(r"\x1b\[(\??\d*(?:;\d+)*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Terminal:
    """A Python program on a terminal of its own.

    Args:
        code: The program.
        folder: Its working directory.
        columns: Width of the terminal.
        environment: Variables beside those of this process.
    """

    def __init__(self, code, folder, *, columns=80, **environment):
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update({"TERM": "xterm", **environment})
            os.environ.pop("COLUMNS", None)
            os.execv(sys.executable, [sys.executable, "-c", code])
        self.resize(columns)
        self.seen = ""

    def resize(self, columns):
        """Gives the terminal another width."""
        ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def write(self, text):
        """Presses keys; the character 3 is Ctrl-C."""
        os.write(self._fd, text.encode())

    def wait_for(self, text, *, seconds=60.0):
        """Reads until a text has been seen."""
        ends = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < ends, self.seen
            if not self._read(1.0):
                raise AssertionError(f"ended without {text!r}: {self.seen!r}")

    def wait(self):
        """Reads to the end; returns the exit code."""
        while self._read(60.0):
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self, seconds):
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            new = os.read(self._fd, 65536).decode(errors="replace")
        except OSError:  # Linux: EIO, since nobody has the other side open.
            return False
        self.seen += new
        return bool(new)

    def screen(self):
        """Returns the lines that are left standing, none of which may be longer than the width."""
        lines, row, column = [""], 0, 0
        for code, letter, control, text in PARTS.findall(self.seen):
            if control == "\r":
                column = 0
            elif control == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif text:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + text + line[column + len(text) :]
                column += len(text)
            elif letter == "A":
                row = max(0, row - int(code or 1))
            elif letter == "K":
                lines[row] = "" if code == "2" else lines[row][:column]
            else:
                assert letter in "mhl", (code, letter)
        return "\n".join(lines).rstrip().split("\n")
