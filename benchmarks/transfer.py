"""Is transfer learning worth it here? Scratch against transfer, measured three ways.

    budget    the same minutes for a search from scratch, a convnet, and embedding with a search
    sizes     test accuracy over the size of the training set, 1% to 100%
    lecture   the lecture's own example: animals learned here, reused for vehicles with few images

Each prints a table and writes its figures (JSON) and a plot (PNG) to a folder of `--out`. Started
again with the same `--out`, a part trains only what is missing, and draws anew. CIFAR-10 comes from
where the stage `fetch` gets it; `PIPELINE_MIRROR` names a folder of its files. The test images are
read at the end of each training, and nothing is chosen by them.

Run: python -m benchmarks.transfer budget --dataset fashion_mnist [--minutes 5]
     python -m benchmarks.transfer sizes --dataset cifar10 [--shares 0.01 0.03 0.1 0.3 1]
     python -m benchmarks.transfer lecture [--per-class 10 30 100 300 1000] [--minutes 6]
"""

import argparse
import logging
import tempfile
from pathlib import Path

from benchmarks import transfer_budget, transfer_lecture, transfer_sizes
from benchmarks.transfer_figures import TITLES


def read_arguments() -> argparse.Namespace:
    """Returns the part and its options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--out", type=Path, help="where results go, or go on; a new folder")
    shared.add_argument("--seeds", type=int, default=3)
    parts = parser.add_subparsers(dest="part", required=True)
    budget = parts.add_parser("budget", parents=[shared])
    budget.add_argument("--minutes", type=float, default=5.0)
    sizes = parts.add_parser("sizes", parents=[shared])
    sizes.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3, 1.0])
    for part in (budget, sizes):
        part.add_argument("--dataset", choices=list(TITLES), required=True)
    lecture = parts.add_parser("lecture", parents=[shared])
    lecture.add_argument("--per-class", type=int, nargs="+", default=[10, 30, 100, 300, 1000])
    lecture.add_argument("--minutes", type=float, default=6.0, help="that the animals are learned")
    return parser.parse_args()


def main() -> None:
    """Runs a part."""
    options = read_arguments()
    logging.basicConfig(level=logging.WARNING)
    out = (options.out or Path(tempfile.mkdtemp(prefix="transfer-"))).resolve()
    print(f"results: {out}", flush=True)
    if options.part == "budget":
        transfer_budget.run(options.dataset, minutes=options.minutes, seeds=options.seeds, out=out)
    elif options.part == "sizes":
        transfer_sizes.run(options.dataset, shares=options.shares, seeds=options.seeds, out=out)
    else:
        transfer_lecture.run(
            per_class=options.per_class, seeds=options.seeds, minutes=options.minutes, out=out
        )


if __name__ == "__main__":
    main()
