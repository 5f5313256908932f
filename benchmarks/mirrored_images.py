"""What mirrored images add to heads that are trained for as many steps.

Queued heads on the first cut of a base, each trained without mirrored images, and with them in as
many epochs as have the same number of steps. Printed are accuracy and log loss on the confirmation
part, the means over the seeds. The test part is never read.

Run in a checkout after `dvc repro embed`. Where the plan leaves mirrored images out, its base is
written out first, with `views: {hflip: true}`, and, where it has no cut that fine-tuning could
start from, `unfreeze: 0`:
python -m benchmarks.mirrored_images [--study transfer] [--heads 2] [--seeds 2] [--epochs 10]
"""

import argparse
import statistics
from itertools import product
from pathlib import Path

from benchmarks.machine import machine
from pipeline.config import load_section, read_document
from pipeline.features.params import EmbedParams
from pipeline.features.view_params import ViewsParams
from pipeline.plan_record import PLAN_FILE
from pipeline.planning.limits import as_many_steps
from pipeline.planning.plan import with_plan
from pipeline.search.all_of_them import train_all
from pipeline.search.configurations import completed
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.space import SearchSpace
from pipeline.studies.described import describe
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialSpec

VIEWS = ("none", "all")


def main() -> None:
    """Trains all of them and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="transfer")
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    root = Path.cwd()
    described = describe(args.study, root=root)
    data = DataReference(
        features=str(root / "data/features" / described.params.base),
        train_file=str(root / "data/train.npz"),
    )
    document = read_document(root / "params.yaml")
    queue = [head for head in document["studies"][args.study]["enqueue"] if not head["unfreeze"]]
    embed = with_plan(load_section(EmbedParams, "embed"), root / PLAN_FILE)
    cut = embed.bases[described.params.base].cuts[0]
    if embed.bases[described.params.base].views_wanted != ViewsParams(hflip=True):
        raise SystemExit(f"{described.params.base} has no mirrored images, or other views, too.")
    num_train = described.split.counts["train"].images
    epochs = {"none": args.epochs, "all": round(as_many_steps(args.epochs, num_train, 1))}
    print(f"{described.split.dataset}, {cut}, {epochs}; {machine()}", flush=True)

    def specified(head: int, views: str, seed: int) -> TrialSpec:
        told = {**document["defaults"], **queue[head], "cut": cut, "views": views}
        return TrialSpec(
            uid=f"{head} {views} {seed}",
            hyperparameters=completed({}, SearchSpace({}, told)),
            seed=seed,
            epochs=epochs[views],
            judge="confirmation",
        )

    specs = [specified(*one) for one in product(range(args.heads), VIEWS, range(args.seeds))]
    with LocalExecutor(described.search.num_workers) as executor:
        found = train_all([(spec, data) for spec in specs], executor)
    for head, views in product(range(args.heads), VIEWS):
        results = [found[f"{head} {views} {seed}"].result for seed in range(args.seeds)]
        means = {
            name: statistics.fmean(one.metrics[f"confirmation_{name}"] for one in results)
            for name in ("accuracy", "loss")
        }
        seconds = statistics.fmean(one.seconds for one in results)
        print(f"  head {head}, views {views}: {means}, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
