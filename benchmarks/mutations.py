"""Does a test fail where a safeguard is taken out? Statements at random, each removed in a copy.

A safeguard is a statement that only matters when something goes wrong, or goes another way: an `if`
that ends in `raise`, `return` or `continue`, or a call for its effect alone. Each is replaced by
`pass` in a clone of the last commit. The tests that name its module run, the quick ones first,
until one fails. What survives is printed with its lines: a test is missing, or the statement is not
needed, or what it does cannot be seen (a hint, a faster way). About 20 s for each on two cores.

Run: python -m benchmarks.mutations [--statements 40] [--seed 1] [--below pipeline/search]
"""

import argparse
import ast
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine

ROOT = Path(__file__).parents[1]
QUICK = "not (keras or slow or stores or server or alone or families)"
REST = "(keras or slow or stores or server) and not (alone or families)"
# Says something, and changes nothing.
IGNORED = re.compile(r"^(logger\.|print\(|warnings\.)")
SECONDS = 400


@dataclass(frozen=True)
class Safeguard:
    """A statement that can be taken out.

    Attributes:
        file: Its module, relative to the checkout.
        first: Its first line, counted from 1.
        last: Its last line, inclusive.
        column: How far it is indented.
    """

    file: Path
    first: int
    last: int
    column: int

    def without(self, text: str) -> str:
        """Returns the module's text with `pass` in the statement's place."""
        lines = text.splitlines(keepends=True)
        removed = [" " * self.column + "pass\n", *["\n"] * (self.last - self.first)]
        return "".join([*lines[: self.first - 1], *removed, *lines[self.last :]])

    def text(self) -> str:
        """Returns the statement."""
        lines = (ROOT / self.file).read_text(encoding="utf-8").splitlines()
        return "\n".join(lines[self.first - 1 : self.last])


def safeguards(file: Path) -> Iterator[Safeguard]:
    """Yields every safeguard of a module.

    Args:
        file: Relative to the checkout.
    """
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.If):
            ends = isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue)
            is_one = ends and not node.orelse
        else:
            is_one = (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and not IGNORED.match(ast.unparse(node))
            )
        if is_one and isinstance(node, ast.stmt):
            last = node.end_lineno or node.lineno
            yield Safeguard(file, node.lineno, last, node.col_offset)


def tests_of(file: Path) -> list[str]:
    """Returns the test files that name a module, its own one first."""
    module = ".".join(file.with_suffix("").parts)
    room, _, name = module.rpartition(".")
    # Also `from pipeline.search import engine`, and a command or stage by its bare name.
    named = re.compile(rf"{re.escape(module)}\b|from {re.escape(room)} import .*\b{name}\b")
    found = [
        test.relative_to(ROOT)
        for test in sorted((ROOT / "tests").rglob("test_*.py"))
        if named.search(test.read_text(encoding="utf-8"))
    ]
    own = Path("tests", *file.parts[1:-1], f"test_{file.stem}.py")
    if (ROOT / own).is_file():
        found.append(own)
    return [str(test) for test in sorted(set(found), key=lambda test: (test != own, str(test)))]


def is_noticed(clone: Path, safeguard: Safeguard, tests: list[str]) -> str | None:
    """Takes a safeguard out and returns the first test that fails, or None."""
    file = clone / safeguard.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(safeguard.without(whole), encoding="utf-8")
    try:
        for selection in (QUICK, REST):
            failed = first_failure(clone, [*tests, "-m", selection])
            if failed is not None:
                return failed
    finally:
        file.write_text(whole, encoding="utf-8")
    return None


def first_failure(clone: Path, arguments: list[str]) -> str | None:
    """Returns the first test that fails, or None.

    Args:
        clone: The checkout in which they run.
        arguments: For pytest.

    Raises:
        RuntimeError: If pytest itself could not run.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    try:
        done = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"a test hangs for {SECONDS} s"
    # https://docs.pytest.org/en/stable/reference/exit-codes.html: all passed, or none was chosen.
    if done.returncode in (0, 5):
        return None
    if done.returncode == 4:
        raise RuntimeError(done.stdout + done.stderr)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[0] if failed else done.stdout[-300:]


def main() -> None:
    """Takes safeguards out, one after the other, and prints which test noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--statements", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--below", type=Path, default=Path("pipeline"))
    arguments = parser.parse_args()
    files = sorted(file.relative_to(ROOT) for file in (ROOT / arguments.below).rglob("*.py"))
    every = [safeguard for file in files for safeguard in safeguards(file)]
    drawn = random.Random(arguments.seed).sample(every, min(arguments.statements, len(every)))
    print(
        f"{len(drawn)} of {len(every)} safeguards, seed {arguments.seed}; {machine()}", flush=True
    )
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "checkout")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        for safeguard in drawn:
            failed = is_noticed(clone, safeguard, tests_of(safeguard.file))
            print(f"{safeguard.file}:{safeguard.first}: {failed or 'SURVIVED'}", flush=True)
            if failed is None:
                survived += 1
                print(safeguard.text(), flush=True)
    print(f"{len(drawn) - survived} of {len(drawn)} were noticed")


if __name__ == "__main__":
    main()
