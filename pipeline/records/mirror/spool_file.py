"""A file of records that wait for the tracking store, in order, and how far they were sent.

`append` hands each record to the operating system before it returns: the page cache survives the
death of this process at any instant, by any signal. Only a power cut may lose the last records,
which is what the study's own database is synchronized for and `reconcile` puts right; a sync of
this file after every record would let the training wait for the disk.

How far the records were sent is kept beside them, in a file that is replaced as a whole after each
record. Truncating the file when it is empty would need no second file, but after a kill it would
send everything again that was sent since: each record can be sent twice, but the start of a run
that was replaced meanwhile should not be.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StudyError

Record = dict[str, Any]
FOLDER = Path("mlruns/spool")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One record of the file.

    Attributes:
        record: Its content.
        number: Counted from 1, as editors do.
        end: Where the next one begins, in bytes.
    """

    record: Record
    number: int
    end: int


class SpoolFile:
    """An open spool. One thread appends, one other reads; the study's lock keeps others out.

    Args:
        path: Of the records; made with its folder if it does not exist.

    Raises:
        StudyError: If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset_path = path.with_suffix(".offset")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                # A kill between the two removals of `close` leaves this one.
                self._offset_path.unlink(missing_ok=True)
            self._out = path.open("ab", buffering=0)
        except OSError as error:
            raise self._not_writable(error) from None
        content = path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        if self._size < len(content):
            # Its writer was killed in the middle of a record, which its caller never saw accepted.
            self._out.truncate(self._size)
        self._sent = self._read_offset(content)
        self._num_written = content.count(b"\n")
        self._num_sent = content.count(b"\n", 0, self._sent)
        self._in = path.open("rb")

    @property
    def num_waiting(self) -> int:
        """How many records are still to be sent, >= 0."""
        return self._num_written - self._num_sent

    def append(self, record: Record) -> None:
        """Writes a record; it waits from now on. NaN and infinity come back as they were.

        Raises:
            StudyError: If the disk is full or read-only; nothing of the record is left.
        """
        line = f"{json.dumps(record)}\n".encode()
        try:
            written = self._out.write(line) or 0
            if written < len(line):
                raise OSError(0, "the disk is full")
        except OSError as error:
            self._out.truncate(self._size)
            raise self._not_writable(error) from None
        # Last, since the reader believes these.
        self._size += len(line)
        self._num_written += 1

    def first_waiting(self) -> Line:
        """Returns the record that is to be sent next; only while `num_waiting` > 0."""
        self._in.seek(self._sent)
        text = self._in.readline()
        return Line(record=json.loads(text), number=self._num_sent + 1, end=self._sent + len(text))

    def mark_sent(self, line: Line) -> None:
        """Remembers, also after a kill, that the first waiting record was sent."""
        part = self._offset_path.with_suffix(".offset.part")
        part.write_text(str(line.end), encoding="ascii")
        part.replace(self._offset_path)
        self._sent = line.end
        self._num_sent += 1

    def close(self) -> None:
        """Closes the file, and removes it if nothing waits in it."""
        if self._out.closed:
            return
        self._out.close()
        self._in.close()
        if not self.num_waiting:
            # In this order: an offset without records is recognised, the reverse would send all.
            self.path.unlink(missing_ok=True)
            self._offset_path.unlink(missing_ok=True)

    def _read_offset(self, content: bytes) -> int:
        try:
            offset = int(self._offset_path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0
        # After a power cut the two files may not fit: then everything is sent again.
        fits = 0 < offset <= self._size and content[offset - 1 : offset] == b"\n"
        return offset if fits else 0

    def _not_writable(self, error: OSError) -> StudyError:
        return StudyError(
            f"{self.path} must be writable: records for the tracking store wait there. Received: "
            f"{error.strerror}. Free some space or allow writing, and run `dvc repro` again."
        )
