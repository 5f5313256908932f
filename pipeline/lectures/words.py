"""What a comparison found, as lines of text."""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from pipeline.lectures.compare import Findings, Reached
from pipeline.lectures.comparison import Judged
from pipeline.lectures.demonstration import table


def lines(findings: Findings) -> Iterator[str]:
    """Gives the table of the variants, then that of the claims."""
    comparison = findings.comparison
    yield (
        f"{findings.num_seeds} seeds, {findings.num_train:,} training images, judged on "
        f"{findings.num_judging:,} others of the training part; {findings.seconds:.0f} s"
    )
    yield ""
    has_rates = bool(comparison.rates)
    rows = [["variant", "right", *(["rate"] if has_rates else []), "epochs", "seconds", ""]]
    for name, reached in findings.reached.items():
        rate = [f"{reached.rate:g}"] if reached.rate is not None else []
        diverged = f"{reached.num_diverged} diverged" if reached.num_diverged else ""
        rows.append([name, *_row(reached, rate), diverged])
    yield from table(rows)
    yield ""
    claims = [["the lecture says", "effect, points", "answer"]]
    claims += [[one.claim.text, points(one), one.answer] for one in findings.judged]
    yield from table(claims)


def points(judged: Judged) -> str:
    """Returns an effect in percentage points with its interval."""
    value, low, high = (
        "?" if one is None else f"{100 * one:+.1f}"
        for one in (judged.effect.value, judged.effect.low, judged.effect.high)
    )
    return f"{value} ({low} to {high})"


def _row(reached: Reached, rate: Sequence[str]) -> list[str]:
    return [
        f"{100 * fmean(reached.values):.1f}% +-{100 * stdev(reached.values):.1f}",
        *rate,
        f"{fmean(reached.num_epochs):.0f}",
        f"{fmean(reached.seconds):.1f}",
    ]
