"""What it costs to see how a training went, and how often the verdict on it is right.

`cost`: random configurations of a study, each trained with and without monitoring, alternating,
in one thread; seconds of CPU, since other work may run beside it. What is compiled is thrown away
before each training, so that all pay for it. Weights and metrics of both must be equal.

`verdicts`: random configurations of the study's space, or of one made wide on purpose (layers,
activations, initializers, optimizers, rates, clipping), each trained on 5,000 images. An outcome by
this rule, which reads none of the figures that the verdict reads, is set against the verdict:

- failed: diverged, or at the end right on less than half as many training images as the best trial
- sound: anything else

Run in a checkout whose stages up to `embed` have run for a study of base none:
python -m benchmarks.health cost [--study scratch] [--configurations 16] [--share 1]
python -m benchmarks.health verdicts [--study scratch] [--configurations 100] [--wide] [--first 0]
"""

import argparse
import contextlib
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.rung_ranking import configurations
from pipeline.hyperparameter import Value
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.studies.described import describe
from pipeline.training.data import DataReference
from pipeline.training.devices import configure_tensorflow
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec
from pipeline.trials.epochs import stored
from pipeline.trials.health import verdict
from pipeline.trials.record import TrialRecord
from testing.unmonitored import unmonitored

# Of the training part that each of `verdicts` learns from.
NUM_IMAGES = 5_000
EPOCHS = 4


def cost(specs: Sequence[TrialSpec], data: DataReference) -> None:
    """Prints a line for each configuration, then the ratios."""
    from pipeline.training import programs
    from pipeline.training.worker import run_trial

    seconds: dict[bool, list[float]] = {True: [], False: []}
    for place, spec in enumerate([specs[0], *specs]):
        results = {}
        for is_monitored in (True, False) if place % 2 else (False, True):
            programs.forget()
            start = time.process_time()
            with contextlib.nullcontext() if is_monitored else unmonitored():
                results[is_monitored] = run_trial(spec, data, lambda record: False)
            seconds[is_monitored].append(time.process_time() - start)
        if weights_and_metrics(results[True]) != weights_and_metrics(results[False]):
            raise SystemExit(f"monitoring changed the training of {dict(spec.hyperparameters)}")
        taken = (seconds[True][-1], seconds[False][-1])
        print("  {:.2f} s with, {:.2f} s without".format(*taken), flush=True)
    # The first one started TensorFlow.
    pairs = list(zip(seconds[True], seconds[False], strict=True))[1:]
    median = statistics.median(a / b for a, b in pairs)
    total = sum(a for a, _ in pairs) / sum(b for _, b in pairs)
    print(f"n = {len(pairs)}: median ratio {median:.3f}, of all seconds {total:.3f}")


def weights_and_metrics(result: TrialResult) -> tuple[str, dict[str, float]]:
    """Returns what monitoring must leave as it is."""
    metrics = {name: value for name, value in result.metrics.items() if name != "seconds"}
    return result.weights_sha256, metrics


def crafted(defaults: Mapping[str, Value], number: int) -> dict[str, Value]:
    """Returns a configuration of the wide space, drawn with its number as seed."""
    draw = random.Random(number)
    clipping = draw.choice(["none", "none", "clipvalue", "clipnorm", "global_clipnorm"])
    values: dict[str, Value] = {
        "cut": "pixels",
        "num_layers": draw.randint(1, 5),
        "units": round(2 ** draw.uniform(2, 9)),
        "activation": draw.choice(["relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid", "silu"]),
        "initializer": draw.choice(["glorot", "he", "lecun"]),
        "normalization": draw.choice(["none", "none", "before"]),
        "dropout": draw.choice(["none", "last", "all"]),
        "dropout_rate": draw.uniform(0.0, 0.5),
        "optimizer": draw.choice(["sgd", "momentum", "adam", "rmsprop"]),
        "learning_rate": 10 ** draw.uniform(-5, 2),
        "clipping": clipping,
        "clipping_threshold": 10 ** draw.uniform(-6, 1),
        "batch_size": 64,
        "images_per_epoch": 1,
        "early_stopping": "none",
    }
    return dict(completed({}, SearchSpace({}, {**defaults, **values})))


def judged(spec: TrialSpec, data: DataReference) -> TrialRecord:
    """Trains one configuration, and returns its record."""
    from pipeline.training.worker import run_trial

    records: list[EpochRecord] = []

    def keep(record: EpochRecord) -> bool:
        records.append(record)
        return False

    result = run_trial(spec, data, keep)
    return TrialRecord(
        number=int(spec.uid),
        state="COMPLETE",
        hyperparameters=spec.hyperparameters,
        attributes={
            "outcome": result.outcome,
            "epochs": [stored(record, at_ms=0) for record in records],
        },
    )


def verdicts(specs: Sequence[TrialSpec], data: DataReference) -> None:
    """Prints every training as it ends, then how many had which verdict and outcome."""
    trials = []
    for spec in specs:
        trials.append(judged(spec, data))
        _show(trials[-1])
    ends = [_end(trial) for trial in trials]
    least = max(end for end in ends if end is not None) / 2
    counts = Counter(
        (verdict(trial).health, "failed" if end is None or end < least else "sound")
        for trial, end in zip(trials, ends, strict=True)
    )
    print(f"n = {len(trials)}; failed: training accuracy below {least:.3f}, or diverged")
    for name in sorted({name for name, _ in counts}):
        print(f"  {name:<14} {counts[name, 'failed']:3d} failed {counts[name, 'sound']:3d} sound")


def _show(trial: TrialRecord) -> None:
    found, end, values = verdict(trial), _end(trial), trial.hyperparameters
    shown = ("num_layers", "units", "activation", "initializer", "normalization", "optimizer")
    knobs = ", ".join(str(values[name]) for name in shown)
    clip = f"{values['clipping']} {values.get('clipping_threshold', 0):.1g}"
    right = "-" if end is None else f"{end:.3f}"
    print(
        f"  {trial.number:3d} {found.health:<12} {found.fit:<15} {right:>5}  "
        f"rate {values['learning_rate']:.1g}, {knobs}, {clip}; {'; '.join(found.figures)}",
        flush=True,
    )


def _end(trial: TrialRecord) -> float | None:
    epochs = trial.epoch_records
    return None if trial.is_diverged or not epochs else epochs[-1].metrics["accuracy"]


def main() -> None:
    """Trains, and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["cost", "verdicts"])
    parser.add_argument("--study", default="scratch")
    parser.add_argument("--configurations", type=int, default=16)
    parser.add_argument("--share", type=float, default=1.0, help="of a training, for `cost`")
    parser.add_argument("--wide", action="store_true", help="`verdicts` of the wide space")
    parser.add_argument("--first", type=int, default=0, help="seed of what `verdicts` draws")
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    configure_tensorflow(num_threads=1)
    root = Path.cwd()
    described = describe(args.study, root=root)
    data = DataReference(
        features=str(root / "data/features" / described.params.base),
        train_file=str(root / "data/train.npz"),
    )
    print(f"{described.split.dataset}, study {args.study}; {machine()}", flush=True)
    if args.what == "cost":
        drawn = configurations(described.space, args.configurations, seed=0)
        epochs, share = described.search.num_epochs, args.share
    else:
        numbers = range(args.first, args.first + args.configurations)
        if args.wide:
            drawn = [crafted(described.space.defaults, number) for number in numbers]
        else:
            drawn = configurations(described.space, args.configurations, seed=args.first)
        num_train = described.split.counts["train"].images
        epochs, share = EPOCHS, min(1.0, NUM_IMAGES / num_train)
    specs = [
        TrialSpec(uid=str(place), hyperparameters=one, seed=place, epochs=epochs, share=share)
        for place, one in enumerate(drawn)
    ]
    (cost if args.what == "cost" else verdicts)(specs, data)


if __name__ == "__main__":
    main()
