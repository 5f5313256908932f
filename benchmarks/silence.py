"""For how long a run says nothing, and whether what it says of the time left is true.

A command is run with its output in a pipe, as in `make run >log 2>&1`, and each line is timed as it
arrives. A stage begins with DVC's "Running stage"; after a stage DVC hashes its outs, which is
a column of its own. Each range of the time left, and each "at most", is compared with
when its stage ended, and the budget's with when the last stage that it is for ended.

Run in a checkout: python -m benchmarks.silence python -m dvc repro
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

TIME = r"(\d+(?::\d\d)+)"
RANGE = re.compile(rf"{TIME} to {TIME} left|up to {TIME} left|(?<!at most )(?<![\d:]){TIME} left")
AT_MOST = re.compile(rf"at most {TIME} left")
BUDGET = re.compile(rf"budget {TIME}: {TIME} spent, at most {TIME} left")
STAGE = re.compile(r"Running stage '([^']+)'")
TIMED = ("plan", "embed", "search", "confirm")


@dataclass
class Stage:
    """A stage's lines, each with the seconds since the start of the run."""

    name: str
    lines: list[tuple[float, str]] = field(default_factory=list)
    ended: float = 0.0


def seconds(written: str) -> float:
    """Returns what `pipeline.durations.duration` wrote, in seconds."""
    total = 0
    for part in written.split(":"):
        total = 60 * total + int(part)
    return float(total)


def run(command: list[str]) -> tuple[list[Stage], int]:
    """Runs a command, repeats its lines, and returns them by stage, with its exit code."""
    start, stages = time.monotonic(), [Stage("(before)")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    for line in process.stdout:
        now = time.monotonic() - start
        print(f"{now:7.1f} {line}", end="", flush=True)
        if found := STAGE.search(line):
            stages[-1].ended = now
            stages.append(Stage(found[1]))
        stages[-1].lines.append((now, line.rstrip()))
    code = process.wait()
    stages[-1].ended = time.monotonic() - start
    return stages, code


def over_at(stage: Stage) -> float:
    """Returns when a stage was done; what comes after is DVC's, which hashes its outs."""
    return next((at for at, line in reversed(stage.lines) if "done in" in line), stage.ended)


def longest_silence(stage: Stage) -> float:
    """Returns the longest time between two lines of a stage itself, seconds."""
    ends = over_at(stage)
    times = [at for at, _ in stage.lines if at <= ends]
    return max((after - before for before, after in pairwise(times)), default=0.0)


def estimates(stage: Stage) -> Iterator[tuple[str, bool, float]]:
    """Yields kind, whether it held, and what was in truth left, of all that was said of the end."""
    ends = over_at(stage)
    for at, line in stage.lines:
        own, truth = line.partition("; budget")[0], ends - at
        if (found := AT_MOST.search(own)) and not RANGE.search(own):
            yield "at most", truth <= seconds(found[1]) + 1, truth
        elif found := RANGE.search(own):
            low, high, up_to, even = found.groups()
            least, most = seconds(low or even or "0:00"), seconds(high or up_to or even)
            yield "range", least - 1 <= truth <= most + 1, truth


def main() -> None:
    """Prints a line for each stage, and what held."""
    stages, code = run(sys.argv[1:])
    print(f"\n{'stage':22}{'seconds':>9}{'lines':>7}{'silence':>9}{'DVC':>7}  estimates that held")
    for stage in stages:
        began = stage.lines[0][0] if stage.lines else stage.ended
        found = list(estimates(stage))
        held = ", ".join(
            f"{sum(is_true for kind, is_true, _ in found if kind == name)} of {total} {name}"
            for name in ("range", "at most")
            if (total := sum(kind == name for kind, *_ in found))
        )
        seconds_of = (
            f"{over_at(stage) - began:9.1f}{len(stage.lines):7}{longest_silence(stage):9.1f}"
        )
        print(f"{stage.name:22}{seconds_of}{stage.ended - over_at(stage):7.1f}  {held}")
    _print_budget(stages)
    print(f"longest silence {max(map(longest_silence, stages)):.1f} s, exit code {code}")


def _print_budget(stages: list[Stage]) -> None:
    timed = [stage for stage in stages if stage.name.partition("@")[0] in TIMED]
    late = [
        timed[-1].ended - at - seconds(found[3])
        for stage in timed
        for at, line in stage.lines
        if (found := BUDGET.search(line))
    ]
    if late:
        print(
            f"budget: said {len(late)} times; all it is for ended {max(late):+.0f} s after at most"
        )


if __name__ == "__main__":
    main()
