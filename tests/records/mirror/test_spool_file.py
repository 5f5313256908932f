"""What was appended is there after a kill, in order, and nothing else is."""

import math
import os
import resource
import signal
import subprocess
import sys
import textwrap

import pytest

from pipeline.errors import StudyError
from pipeline.records.mirror.spool_file import SpoolFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mlruns/spool/digits-01234567.jsonl"


def waiting(path):
    """All that a new process would send."""
    file = SpoolFile(path)
    found = []
    while file.num_waiting:
        line = file.first_waiting()
        found.append(line.record)
        file.mark_sent(line)
    return found


def filled(path, count):
    file = SpoolFile(path)
    for number in range(count):
        file.append({"n": number})
    return file


def test_records_come_back_in_order(path):
    filled(path, 3)
    assert waiting(path) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_what_was_sent_is_not_sent_again_by_the_next_process(path):
    file = filled(path, 3)
    file.mark_sent(file.first_waiting())
    assert SpoolFile(path).num_waiting == 2
    assert waiting(path) == [{"n": 1}, {"n": 2}]


def test_nan_and_infinity_come_back_as_they_were(path):
    SpoolFile(path).append({"metrics": {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1}})
    (record,) = waiting(path)
    found = record["metrics"]
    assert math.isnan(found["a"])
    assert (found["b"], found["c"], found["d"]) == (math.inf, -math.inf, 0.1)


@pytest.mark.parametrize("torn", [b'{"n": 2', b'{"n": 2}', b"\xc3", b'{"a": "\x00'])
def test_a_torn_last_line_is_dropped_and_the_next_record_is_whole(path, torn):
    filled(path, 2)
    with path.open("ab") as stream:
        stream.write(torn)
    SpoolFile(path).append({"n": 3})
    assert waiting(path) == [{"n": 0}, {"n": 1}, {"n": 3}]


def test_a_file_with_nothing_left_in_it_is_removed(path):
    file = filled(path, 1)
    file.mark_sent(file.first_waiting())
    file.close()
    assert list(path.parent.iterdir()) == []


def test_a_file_with_something_left_in_it_stays(path):
    filled(path, 1).close()
    assert waiting(path) == [{"n": 0}]


def test_an_offset_that_outlived_its_records_skips_nothing(path):
    file = filled(path, 2)
    file.mark_sent(file.first_waiting())
    path.unlink()  # Killed here, between the two removals.
    filled(path, 2)
    assert waiting(path) == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize("offset", ["", "x", "5", "9999", "-3"])
def test_an_offset_that_does_not_fit_sends_everything_again(path, offset):
    filled(path, 2)
    path.with_suffix(".offset").write_text(offset)
    assert waiting(path) == [{"n": 0}, {"n": 1}]


def test_lines_are_counted_as_editors_do(path):
    file = filled(path, 2)
    assert file.first_waiting().number == 1
    file.mark_sent(file.first_waiting())
    assert SpoolFile(path).first_waiting().number == 2


def test_a_folder_that_cannot_be_made_is_said_in_one_line(path):
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(StudyError, match=r"jsonl must be writable: .*exists"):
        SpoolFile(path)


def test_a_full_disk_leaves_whole_records_only(path):
    file = filled(path, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
    try:
        with pytest.raises(StudyError, match=r"must be writable: .*Free some space"):
            file.append({"n": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    file.append({"n": 2})
    assert waiting(path) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_record_is_safe_as_soon_as_append_returns(path):
    script = """
        import os, pathlib, signal, sys
        from pipeline.records.mirror.spool_file import SpoolFile
        file = SpoolFile(pathlib.Path(sys.argv[1]))
        for number in range(100):
            file.append({"n": number})
        os.kill(os.getpid(), signal.SIGKILL)
    """
    code = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)]).returncode
    assert code == -signal.SIGKILL
    assert waiting(path) == [{"n": number} for number in range(100)]


def test_a_process_killed_at_any_moment_loses_and_doubles_no_record(path):
    # The reader marks each record that it has taken, and prints it before: at most the one that
    # was being marked comes twice.
    script = """
        import pathlib, sys
        from pipeline.records.mirror.spool_file import SpoolFile
        file = SpoolFile(pathlib.Path(sys.argv[1]))
        while file.num_waiting:
            line = file.first_waiting()
            print(line.record["n"], flush=True)
            file.mark_sent(line)
    """
    filled(path, 3000)
    taken = []
    for kill_after in (200, 900, 1700):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(kill_after - len(taken)):
            taken.append(int(process.stdout.readline()))
        os.kill(process.pid, signal.SIGKILL)
        taken += [int(line) for line in process.stdout.read().splitlines()]
        process.wait()
    taken += [record["n"] for record in waiting(path)]
    assert sorted(set(taken)) == list(range(3000))
    assert len(taken) <= 3000 + 3
