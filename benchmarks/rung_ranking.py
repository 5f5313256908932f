"""Do parts of trainings rank configurations as whole trainings do?

Random configurations of a study's space, fine-tuned ones among them, each trained by the share of
each rung and whole, on the features of a checkout. Printed are the rank correlation (Spearman's) of
each rung's values with those of whole trainings, how many of the best third of a rung are in the
best third of all, and the median seconds. The test part is never read.

Run in a checkout whose stages up to `embed` have run:
python -m benchmarks.rung_ranking [--study transfer] [--configurations 24] [--rungs 4]
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import machine
from pipeline.hyperparameter import Value
from pipeline.search.all_of_them import train_all
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.rungs import REDUCTION, shares
from pipeline.search.space import SearchSpace
from pipeline.studies.described import describe
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialSpec


def configurations(space: SearchSpace, count: int, *, seed: int) -> list[dict[str, Value]]:
    """Returns configurations drawn at random."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.suggest(study.ask()) for _ in range(count)]


def show(values: Mapping[float, Sequence[float]], seconds: Mapping[float, Sequence[float]]) -> None:
    """Prints a line for each share."""
    from scipy.stats import spearmanr

    whole = values[1.0]
    third = max(1, len(whole) // REDUCTION)
    best = set(sorted(range(len(whole)), key=lambda place: -whole[place])[:third])
    for share, found in values.items():
        own = set(sorted(range(len(found)), key=lambda place: -found[place])[:third])
        print(
            f"  1/{round(1 / share)}: rank correlation {spearmanr(found, whole).statistic:.2f}, "
            f"{len(own & best)} of the best {third}, {statistics.median(seconds[share]):.1f} s",
            flush=True,
        )


def main() -> None:
    """Trains and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="transfer")
    parser.add_argument("--configurations", type=int, default=24)
    parser.add_argument("--rungs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    root = Path.cwd()
    described = describe(args.study, root=root)
    search, metric = described.search, described.search.objective
    data = DataReference(
        features=str(root / "data/features" / described.params.base),
        train_file=str(root / "data/train.npz"),
    )
    drawn = configurations(described.space, args.configurations, seed=args.seed)
    tuned = sum(bool(one.get("unfreeze")) for one in drawn)
    print(
        f"{described.split.dataset}, {len(drawn)} configurations, {tuned} fine-tuned; {machine()}"
    )
    start, values, seconds = time.perf_counter(), {}, {}
    for share in shares(args.rungs):
        specs = [
            TrialSpec(
                uid=str(number),
                hyperparameters=one,
                seed=number,
                epochs=search.epochs,
                objective=search.objective,
                share=share,
            )
            for number, one in enumerate(drawn)
        ]
        with LocalExecutor(search.num_workers) as executor:
            found = train_all([(spec, data) for spec in specs], executor)
        in_order = [found[spec.uid].result for spec in specs]
        values[share] = [result.metrics.get(metric, 0.0) for result in in_order]
        seconds[share] = [result.seconds for result in in_order]
        print(f"  {share:.2f} of a training: {time.perf_counter() - start:.0f} s", flush=True)
    show(values, seconds)
    print(f"  all of it {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
