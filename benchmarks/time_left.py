"""Do the ranges of the time that is left hold the truth?

The searches of a checkout are gone through again: after each training, and in the middle between it
and the next, the range that would have been shown, had what the search came to been its target, is
compared with when it ended. Printed is how often it held that, and how wide it was half way.

Run in a checkout that has been searched, each study at once: python -m benchmarks.time_left
"""

from pathlib import Path

from pipeline.trials.pace import Work, time_left
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import exported_study


def show(name: str, trials: list[TrialRecord]) -> tuple[int, int]:
    """Prints a line for a study; returns how many ranges held the truth, and of how many.

    Args:
        name: Of the study.
        trials: Its finished ones, by their end.
    """
    began = min(trial.started.timestamp() for trial in trials if trial.started)
    ends = [trial.ended.timestamp() for trial in trials if trial.ended]
    shares = [trial.share for trial in trials]
    held, middle = [], ""
    for count in range(1, len(trials)):
        rest = Work(num_trainings=len(shares) - count, whole=sum(shares[count:]))
        for now in (ends[count - 1], (ends[count - 1] + ends[count]) / 2):
            found = time_left(ends[:count], shares[:count], began=began, now=now, left=rest)
            if found is None:
                continue
            truth = ends[-1] - now
            held.append(found[0] <= truth <= found[1])
            if count == len(trials) // 2:
                middle = f"half way {found[0]:.0f} to {found[1]:.0f} s, in truth {truth:.0f} s"
    print(f"{name}: {sum(held)} of {len(held)} ranges held the truth; {middle}")
    return sum(held), len(held)


def main() -> None:
    """Prints a line for each study that has been searched, and one for all."""
    found = []
    for folder in sorted(Path("results").iterdir()):
        study = exported_study(Path(), folder.name) if folder.is_dir() else None
        if study is not None:
            finished = [trial for trial in study.trials if trial.is_finished and trial.ended]
            found.append(show(study.study_name, sorted(finished, key=lambda one: str(one.ended))))
    held, total = (sum(counts) for counts in zip(*found, strict=True))
    print(f"together: {held} of {total}")


if __name__ == "__main__":
    main()
