"""Which first configurations serve data sets that they were not chosen on?

On subsets of the digits, Fashion-MNIST, CIFAR-10 and a folder of photographs, each planned and
embedded as the stages do it: random heads of the study `transfer`, everything frozen, on the cut
that the plan ranks first, those that params.yaml queues there, and some usual ones. Each is trained
once; its value is the accuracy on the validation part. The test parts are never read.

A portfolio is chosen greedily (the configuration that lowers the mean regret of the best so far the
most, a data set's regrets in shares of the range that its configurations span: as the sequential
portfolios of Feurer et al. 2022, "Auto-Sklearn 2.0", arXiv:2007.04074, section 3.1). Leave-one-out:
chosen on all data sets but one and tried on that one, beside as many random configurations (the
mean over orders) and beside as many as end in the same seconds. Last comes the portfolio of all.

What was trained is appended to a file; what is in it is not trained again.

Run: nice python -m benchmarks.portfolio [--photos FOLDER] [--num-random 24] [--to portfolio.jsonl]
"""

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import subsets
from benchmarks.machine import machine
from benchmarks.transfer_sizes import reference
from pipeline.config import read_document
from pipeline.features.params import EmbedParams
from pipeline.processes import num_cores
from pipeline.training.devices import configure_tensorflow

STUDY = "transfer"
MOST = 6
NUM_TRAIN, NUM_VAL, EPOCHS, SEED = 8000, 4000, 10, 1
SIZES = [NUM_TRAIN, NUM_VAL, EPOCHS]  # What was trained with others is trained again.
# Heads that people put on frozen bases, beside those that are drawn: wide ones with much dropout.
WIDE = {"dropout": "all", "optimizer": "adamw", "schedule": "cosine", "clipping": "none"}
USUAL: tuple[dict[str, Any], ...] = tuple(
    {
        **WIDE,
        "num_layers": num_layers,
        "units": units,
        "activation": "relu",
        "normalization": normalization,
        "dropout_rate": dropout_rate,
        "learning_rate": 1.0e-03,
        "batch_size": batch_size,
    }
    for num_layers, units, normalization, dropout_rate, batch_size in (
        (1, 768, "none", 0.5, 256),
        (1, 512, "before", 0.5, 128),
        (1, 512, "before", 0.3, 256),
        (1, 256, "before", 0.2, 128),
        (2, 512, "none", 0.4, 128),
        (2, 384, "before", 0.4, 128),
    )
)
BUDGET_SECONDS = 300.0
NUM_ORDERS = 2000
DECIMALS = 4


def configurations(num_random: int) -> list[dict[str, Any]]:
    """Returns the queued heads on the plan's first cut, usual and random ones, without the cut."""
    import optuna

    from pipeline.search.space import SearchSpace

    document = read_document(subsets.ROOT / "params.yaml")
    written = {**document["studies"][STUDY]["space"], "unfreeze": 0, "cut": "first"}
    space = SearchSpace.parse(written, document["defaults"])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
    drawn = [space.suggest(study.ask()) for _ in range(num_random)]
    searched = set(document["studies"][STUDY]["space"])
    told = [
        *(entry for entry in document["studies"][STUDY]["enqueue"] if not entry["unfreeze"]),
        *USUAL,
        *({name: _rounded(own[name]) for name in own if name in searched} for own in drawn),
    ]
    # Queued entries differ in the cut, too: on the first, some of them are the same.
    without = [{key: one[key] for key in one if key not in ("cut", "unfreeze")} for one in told]
    return [one for place, one in enumerate(without) if one not in without[:place]]


def _key(told: Mapping[str, Any]) -> str:
    return json.dumps(told, sort_keys=True)


def _rounded(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def prepare(folder: Path, fetch: Mapping[str, Any]) -> tuple[str, str]:
    """Writes a subset, plans for it and embeds it; returns the base's name and its first cut."""
    from pipeline.planning.params import PlanParams
    from pipeline.stages import plan as stage

    subsets.write_subset(folder, fetch, num_train=NUM_TRAIN, num_val=NUM_VAL)
    document = read_document(subsets.ROOT / "params.yaml")
    planned = stage.run(
        PlanParams.model_validate(document["plan"]),
        EmbedParams.model_validate(document["embed"]),
        budget_seconds=BUDGET_SECONDS,
        train_file=folder / "train.npz",
    )
    ((name, chosen),) = planned.bases.items()
    subsets.embed(folder, planned.bases)
    return name, chosen["cuts"][0]


def train_all(
    name: str, fetch: Mapping[str, Any], wanted: Sequence[dict[str, Any]], file: Path
) -> None:
    """Trains what `file` does not hold yet, and appends it."""
    if all(told in told_of(file, name) for told in wanted):
        return
    with tempfile.TemporaryDirectory(prefix="portfolio-") as root:
        base, cut = prepare(Path(root), fetch)
        # A plan depends on what the machine did meanwhile: on other features all is trained again.
        missing = [told for told in wanted if told not in told_of(file, name, cut=cut)]
        print(f"{name}: {base} {cut}, {len(missing)} trainings", flush=True)
        train_one = partial(_trained, Path(root), base, cut)
        # One thread each, as workers of a search have.
        context = multiprocessing.get_context("spawn")
        with context.Pool(num_cores(), partial(configure_tensorflow, num_threads=1)) as pool:
            for told, found in zip(missing, pool.imap(train_one, missing), strict=True):
                line = {"set": name, "sizes": SIZES, "cut": cut, "told": told, **found}
                with file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")


def _trained(root: Path, base: str, cut: str, told: Mapping[str, Any]) -> dict[str, float]:
    result = subsets.train(reference(root, base), {**told, "cut": cut}, seed=SEED, epochs=EPOCHS)
    return {"value": result.metrics.get("val_accuracy", 0.0), "seconds": result.seconds}


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Returns what was trained before."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def told_of(file: Path, name: str, *, cut: str | None = None) -> list[dict[str, Any]]:
    """Returns what was trained on a data set, on all cuts or on one."""
    lines = [one for one in read_lines(file) if one["set"] == name and one["sizes"] == SIZES]
    return [one["told"] for one in lines if cut in (None, one["cut"])]


def regrets(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how far each configuration is below the best of its data set, in [0, 1].

    Args:
        values: Accuracies, shape (data sets, configurations).
    """
    best, worst = values.max(axis=1, keepdims=True), values.min(axis=1, keepdims=True)
    return (best - values) / np.maximum(best - worst, 1e-9)


def greedy(values: NDArray[np.float64], most: int) -> list[int]:
    """Returns a portfolio's configurations, the most useful first."""
    lost, chosen = regrets(values), list[int]()
    so_far = np.ones(len(values))
    for _ in range(min(most, values.shape[1])):
        after = np.minimum(so_far[:, None], lost).mean(axis=0)
        if chosen and after.min() >= so_far.mean():
            break
        chosen.append(int(after.argmin()))
        so_far = np.minimum(so_far, lost[:, chosen[-1]])
    return chosen


def left_out(names: Sequence[str], values: NDArray[np.float64], secs: NDArray[np.float64]) -> None:
    """Prints for each data set what a portfolio of the others reaches, and what chance does."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(values.shape[1]) for _ in range(NUM_ORDERS)]
    print("data set           best  portfolio  random, as many  random, same seconds")
    for place, name in enumerate(names):
        chosen = greedy(np.delete(values, place, axis=0), MOST)
        own, seconds = values[place], secs[place]
        limit = seconds[chosen].sum()
        as_many = np.mean([own[order[: len(chosen)]].max() for order in orders])
        in_time = np.mean(
            [
                own[order[: max(1, np.sum(seconds[order].cumsum() <= limit))]].max()
                for order in orders
            ]
        )
        print(
            f"{name:15}  {own.max():.4f}  {own[chosen].max():9.4f}  {as_many:15.4f}  "
            f"{in_time:20.4f}   {len(chosen)} configurations, {limit:.0f} s"
        )


def main() -> None:
    """Trains what is missing, and says what a portfolio is worth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with a sub-folder for each class")
    parser.add_argument("--num-random", type=int, default=24)
    parser.add_argument("--to", type=Path, default=Path("portfolio.jsonl"), metavar="FILE")
    args = parser.parse_args()
    configure_tensorflow(num_threads=num_cores())
    print(machine(), flush=True)
    wanted = configurations(args.num_random)
    found = subsets.sets(args.photos)
    for name, fetch in found.items():
        train_all(name, fetch, wanted, args.to)
    lines = [
        one
        for one in read_lines(args.to)
        if one["told"] in wanted and one["set"] in found and one["sizes"] == SIZES
    ]
    names = list(dict.fromkeys(one["set"] for one in lines))
    table = {(one["set"], _key(one["told"])): one for one in lines}
    cells = [[table[name, _key(told)] for told in wanted] for name in names]
    values = np.array([[round(one["value"], DECIMALS) for one in row] for row in cells])
    seconds = np.array([[one["seconds"] for one in row] for row in cells])
    left_out(names, values, seconds)
    print("chosen on all:")
    for place in greedy(values, MOST):
        print(f"  {values[:, place].tolist()} {json.dumps(wanted[place])}")


if __name__ == "__main__":
    main()
