"""Do parts of trainings rank configurations as whole trainings do?

Random configurations of a study's space, fine-tuned ones among them, each trained by the share of
each rung and whole, on the features of a checkout, and whole once more with another seed. Printed
are, for each way, the rank correlation (Spearman's) with whole trainings of the same seed and of
another one, of the objective alone and as a search ranks (equal values by validation loss), how
many of its best third are in the best third of whole ones of the other seed, and the median
seconds. Parts share their seed's luck with whole trainings of that seed; what a whole training says
of the next one bounds what can be asked of them. Last comes how far configurations differ, and how
far two seeds of one do. The test part is never read.

Run in a checkout whose stages up to `embed` have run:
python -m benchmarks.rung_ranking [--study transfer] [--configurations 24] [--rungs 4]
"""

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine
from pipeline.evaluation.objectives import OBJECTIVES
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


@dataclass(frozen=True)
class Trained:
    """What the trainings of all configurations came to, in their order.

    Attributes:
        name: How they were trained.
        values: The objective, larger is better; minus infinity of a training that failed.
        losses: On the validation part; infinite of a training that failed.
        seconds: How long each took.
    """

    name: str
    values: Sequence[float]
    losses: Sequence[float]
    seconds: Sequence[float]

    @property
    def order(self) -> list[int]:
        """The configurations as a search ranks them, the best first."""
        key = list(zip([-value for value in self.values], self.losses, strict=True))
        return sorted(range(len(key)), key=key.__getitem__)

    @property
    def places(self) -> list[int]:
        """The place of each configuration in `order`."""
        return sorted(range(len(self.order)), key=self.order.__getitem__)

    def correlations(self, other: "Trained") -> str:
        """Returns the rank correlation with other trainings of the same, and as a search ranks."""
        from scipy.stats import spearmanr

        found = spearmanr(self.values, other.values).statistic
        return f"{found:.2f} ({spearmanr(self.places, other.places).statistic:.2f})"


def show(parts: Sequence[Trained], whole: Trained, again: Trained) -> None:
    """Prints a line for each way of training, and how far whole ones differ."""
    third = max(1, len(whole.order) // REDUCTION)
    for one in (*parts, whole):
        common = set(one.order[:third]) & set(again.order[:third])
        of_same = "" if one is whole else f"{one.correlations(whole)} with the same seed, "
        print(
            f"  {one.name}: rank correlation {of_same}{one.correlations(again)} with another, "
            f"{len(common)} of the best {third}, {statistics.median(one.seconds):.1f} s",
            flush=True,
        )
    pairs = [
        pair
        for pair in zip(whole.values, again.values, strict=True)
        if all(map(math.isfinite, pair))
    ]
    means = statistics.stdev(statistics.fmean(pair) for pair in pairs)
    seeds = statistics.fmean((first - second) ** 2 / 2 for first, second in pairs) ** 0.5
    print(
        f"  standard deviations: {means:.4f} of the configurations' means of two whole trainings, "
        f"{seeds:.4f} of trainings of one configuration"
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
    search, objective = described.search, OBJECTIVES[described.search.objective]
    sign = 1 if objective.direction == "maximize" else -1
    data = DataReference(
        features=str(root / "data/features" / described.params.base),
        train_file=str(root / "data/train.npz"),
    )
    drawn = configurations(described.space, args.configurations, seed=args.seed)
    tuned = sum(bool(one.get("unfreeze")) for one in drawn)
    print(
        f"{described.split.dataset}, {len(drawn)} configurations, {tuned} fine-tuned; {machine()}"
    )
    start = time.perf_counter()

    def trained(name: str, share: float, *, first_seed: int = 0) -> Trained:
        specs = [
            TrialSpec(
                uid=str(number),
                hyperparameters=one,
                seed=first_seed + number,
                epochs=search.epochs,
                objective=search.objective,
                share=share,
            )
            for number, one in enumerate(drawn)
        ]
        with LocalExecutor(search.num_workers) as executor:
            found = train_all([(spec, data) for spec in specs], executor)
        results = [found[spec.uid].result for spec in specs]
        print(f"  {name}: {time.perf_counter() - start:.0f} s", flush=True)
        return Trained(
            name,
            [sign * result.metrics.get(objective.metric, objective.worst) for result in results],
            [result.metrics.get("val_loss", math.inf) for result in results],
            [result.seconds for result in results],
        )

    parts = [trained(f"1/{round(1 / share)}", share) for share in shares(args.rungs)[:-1]]
    whole = trained("whole", 1.0)
    again = trained("whole, another seed", 1.0, first_seed=len(drawn))
    show(parts, whole, again)
    print(f"  all of it {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
