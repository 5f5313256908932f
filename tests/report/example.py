"""Results as the stages would leave them, made up: for tests, and to look at the page.

Look: python -m tests.report.example FOLDER, then open FOLDER/results/report/index.html.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np

from pipeline.evaluation.classes import most_confident_mistakes
from pipeline.evaluation.intervals import mean_interval, metric_intervals
from pipeline.evaluation.metrics import calibration_bins

FASHION = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
           "Bag", "Ankle boot"]  # fmt: skip
# Pairs that are taken for each other, as in Fashion-MNIST.
ALIKE = {0: 6, 6: 0, 2: 4, 4: 2, 3: 0, 5: 7, 7: 9, 9: 7}
SPACE = {
    "cut": {"type": "choice", "choices": ["block2_add", "block4_add", "block7_add", "avg_pool"]},
    "num_layers": {"type": "int", "low": 1, "high": 3, "log": False, "step": 1},
    "units": {"type": "int", "low": 64, "high": 512, "log": True, "step": 1},
    "activation": {"type": "choice", "choices": ["relu", "leaky_relu", "elu", "selu", "silu"]},
    "dropout_rate": {"type": "float", "low": 0.0, "high": 0.6, "log": False},
    "optimizer": {"type": "choice", "choices": ["adam", "adamw", "nesterov"]},
    "learning_rate": {"type": "float", "low": 2e-4, "high": 5e-3, "log": True},
    "clipping": {"type": "choice", "choices": ["none", "clipvalue", "global_clipnorm"]},
    "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
    "normalize_first": {"type": "choice", "choices": [False, True]},
}


def write_example(
    root: Path,
    *,
    class_names: Sequence[str] = FASHION,
    studies: Sequence[str] = ("scratch", "transfer"),
    n: int = 10_000,
    num_trials: int = 40,
    objective: str = "val_accuracy",
    image_shape: tuple[int, ...] = (28, 28),
    num_seeds: int = 3,
    registered: bool = True,
    searched: Sequence[str] = tuple(SPACE),
) -> Path:
    """Writes `data/split.json` and `results/` below `root`, and returns it."""
    generator = np.random.default_rng(7)
    labels = np.arange(n) % len(class_names)
    results = root / "results"
    metrics, calibration, arrays = {}, {}, {"labels": labels}
    for position, study in enumerate(studies):
        accuracy = (0.889, 0.945, 0.944, 0.93)[position % 4]
        rows = _probabilities(labels, len(class_names), accuracy, generator)
        wrong = most_confident_mistakes(rows, labels, limit=24)
        arrays |= {
            study: rows,
            f"{study}_wrong_indices": wrong,
            f"{study}_wrong_images": _images(len(wrong), image_shape, generator),
        }
        intervals = metric_intervals(
            ["accuracy", "log_loss", "macro_f1", "ece", "brier"], rows, labels,
            num_resamples=200, seed=0,
        )  # fmt: skip
        metrics[study] = {name: asdict(one) for name, one in intervals.items()}
        bins = [asdict(one) for one in calibration_bins(rows, labels)]
        calibration[study] = {"bins": bins, "ece": metrics[study]["ece"]["value"]}
        search = _search(study, objective, num_trials, accuracy, generator)
        search["space"] = {name: SPACE[name] for name in searched if name in search["space"]}
        _write(results / study / "study.json", search)
        _write(results / study / "confirm.json", _confirm(search, num_seeds, generator))
    _write(root / "data" / "split.json", _split(class_names, n, image_shape))
    _write(results / "metrics.json", metrics)
    _write(results / "calibration.json", calibration)
    _write(results / "evaluation.json", _evaluation(studies, n))
    _write(results / "speed.json", dict.fromkeys(studies, 312.4))
    np.savez(results / "predictions.npz", **arrays)
    if registered:
        _write(results / "registration.json", _registration(studies[-1]))
    return root


def _probabilities(labels, num_classes, accuracy, generator):
    n = len(labels)
    guesses = labels.copy()
    wrong = generator.random(n) > accuracy
    others = (labels + generator.integers(1, max(num_classes, 2), n)) % num_classes
    alike = np.array([ALIKE.get(label, other) for label, other in zip(labels, others, strict=True)])
    alike = np.where(alike < num_classes, alike, others)
    guesses[wrong] = np.where(generator.random(n) < 0.7, alike, others)[wrong]
    logits = generator.normal(0.0, 1.0, (n, num_classes))
    logits[np.arange(n), guesses] += np.where(wrong, 4.0, 7.5) + generator.normal(0, 1.5, n)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def _images(count, shape, generator):
    height, width = shape[:2]
    y, x = np.mgrid[0:height, 0:width] / height - 0.5
    images = []
    for _ in range(count):
        a, b, c, d = generator.uniform(0.15, 0.45, 4)
        shade = 255 * (
            (np.abs(x) < a) & (np.abs(y) < b) | (np.hypot(x - c / 4, y + d / 2) < c / 1.6)
        )
        image = np.clip(shade * (0.55 + 0.4 * np.sin(9 * y + 20 * a)), 0, 255).astype(np.uint8)
        images.append(np.stack([image, image // 2, 255 - image], -1) if len(shape) == 3 else image)
    return np.array(images, dtype=np.uint8).reshape(count, *shape)


def _search(study, objective, num_trials, accuracy, generator):
    trials = [_trial(number, objective, accuracy, generator) for number in range(num_trials)]
    sign = -1 if objective == "val_log_loss" else 1
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    best = max(complete, key=lambda trial: sign * trial["value"])
    return {
        "study_name": f"fashion_mnist-{study}",
        "study": study,
        "dataset": "fashion_mnist",
        "identity": "3f9a" * 16,
        "objective": objective,
        "direction": "minimize" if sign < 0 else "maximize",
        "target": num_trials,
        "space": {name: d for name, d in SPACE.items() if study != "scratch" or name != "cut"},
        "best_number": best["number"],
        "trials": trials,
    }


def _trial(number, objective, accuracy, generator):
    rate = float(np.exp(generator.uniform(math.log(2e-4), math.log(5e-3))))
    values = {
        "cut": str(generator.choice(SPACE["cut"]["choices"])),
        "num_layers": int(generator.integers(1, 4)),
        "units": int(np.exp(generator.uniform(math.log(64), math.log(512)))),
        "activation": str(generator.choice(SPACE["activation"]["choices"])),
        "dropout_rate": float(generator.uniform(0, 0.6)),
        "optimizer": str(generator.choice(SPACE["optimizer"]["choices"])),
        "learning_rate": rate,
        "clipping": str(generator.choice(SPACE["clipping"]["choices"])),
        "normalize_first": bool(generator.integers(2)),
        "batch_size": 128,
        "schedule": "cosine",
    }
    if values["clipping"] != "none":
        values["clipping_threshold"] = float(np.exp(generator.uniform(-2, 2)))
    quality = accuracy - 0.012 * abs(math.log(rate / 1.2e-3)) - 0.004 * generator.exponential()
    quality -= {"avg_pool": 0.04, "block7_add": 0.004}.get(values["cut"], 0.0)
    if number % 17 == 11:
        quality = 0.1
    state, outcome = "COMPLETE", "complete"
    num_epochs = int(generator.integers(8, 15))
    if number % 3 == 2:
        state, outcome, num_epochs = "PRUNED", "pruned", int(generator.integers(1, 5))
    if number == 8:
        state, outcome, num_epochs = "PRUNED", "diverged", 0
    if number == 13:
        state, outcome, num_epochs = "FAIL", "failed", 2
    epochs = np.arange(num_epochs)
    curve = quality - 0.12 * np.exp(-epochs / 2.0) + generator.normal(0, 0.0015, num_epochs)
    if objective == "val_log_loss":
        curve = -np.log(np.clip(curve, 0.05, 1))
    best = (curve.min() if objective == "val_log_loss" else curve.max()) if num_epochs else None
    value = None if state == "FAIL" or best is None else float(best)
    return {
        "number": number,
        "state": state,
        "value": value,
        "params": values,
        "hyperparameters": values,
        "intermediate_values": {str(epoch): float(v) for epoch, v in enumerate(curve)},
        "user_attrs": {"outcome": outcome},
        "datetime_start": "2026-01-01T00:00:00",
        "datetime_complete": f"2026-01-01T00:00:{3 * max(num_epochs, 1):02d}",
    }


def _confirm(search, num_seeds, generator):
    sign = -1 if search["direction"] == "minimize" else 1
    complete = [trial for trial in search["trials"] if trial["state"] == "COMPLETE"]
    candidates = []
    for trial in sorted(complete, key=lambda t: -sign * t["value"])[:3]:
        values = [trial["value"] - sign * 0.002 + float(generator.normal(0, 0.001))
                  for _ in range(num_seeds)]  # fmt: skip
        spread = mean_interval(values)
        candidates.append(
            {
                "number": trial["number"],
                "hyperparameters": trial["hyperparameters"],
                "search_value": trial["value"],
                "seeds": list(range(num_seeds)),
                "values": values,
                "mean": spread.mean,
                "std": spread.std,
                "low": spread.low,
                "high": spread.high,
                "num_seeds": num_seeds,
            }
        )
    winner = max(candidates, key=lambda one: sign * one["mean"])
    study = search["study"]
    return {
        "study": study,
        "study_name": search["study_name"],
        "base": "none" if study == "scratch" else "efficientnet_lite0",
        "dataset": "fashion_mnist",
        "objective": search["objective"],
        "part": "confirmation",
        "n": 5_000,
        "candidates": candidates,
        "winner": {**{k: v for k, v in winner.items() if k != "seeds"}, "n": 5_000,
                   "metrics": {"accuracy": 0.9, "log_loss": 0.2, "macro_f1": 0.9}},
        "exported": {
            "file": f"models/{study}.keras",
            "weights_sha256": "81508706" * 8,
            "rule": "the mean of the probabilities over the winner's seeds",
            "members": [{"number": winner["number"], "seed": n} for n in range(num_seeds)],
            "compared": [
                {
                    "num_networks": number,
                    "metrics": {"accuracy": 0.9 + number / 1000, "log_loss": 0.2, "macro_f1": 0.9},
                    "images_per_second": 1200.0 / number,
                    "megabytes": 15.2 * number,
                    "num_parameters": 4_000_000 * number,
                }
                for number in (1, 3)
            ],
            "reason": "an ensemble of 3, shown to be better: accuracy 0.9030",
        },
    }  # fmt: skip


def _evaluation(studies, n):
    def share(value, n=n):
        return {"value": value, "low": value - 0.01, "high": value + 0.01, "n": n}

    def study():
        left = [
            {"share": s, "accuracy": 0.9 + s / 10, "n": round(n * (1 - s))} for s in (0, 0.1, 0.5)
        ]
        metrics = {"accuracy": share(0.91), "log_loss": share(0.3), "ece": share(0.02)}
        return {
            "cost": {
                "engine": "onnxruntime",
                "megabytes": 18.42,
                "num_parameters": 4_123_456,
            },
            "abstentions": left,
            "corruptions": [
                {"name": name, "accuracy": share(0.8, 200), "change": share(-0.1, 200)}
                for name in ("noise", "blur", "jpeg", "dark", "bright")
            ],
            "dropout": {"num_passes": 20, "metrics": metrics, "abstentions": left},
        }

    return {
        "studies": {name: study() for name in studies},
        "comparisons": [
            {
                "first": first,
                "second": second,
                "difference": share(-0.04),
                "only_first": 100,
                "only_second": 500,
                "p_value": 1e-9,
            }
            for first, second in combinations(studies, 2)
        ],
    }


def _split(class_names, n, image_shape):
    sizes = {"train": 49_990, "val": 5_000, "confirmation": 5_000, "test": n}
    num_classes = len(class_names)
    return {
        "dataset": "fashion_mnist",
        "class_names": list(class_names),
        "image_shape": list(image_shape),
        "counts": {
            part: {"images": size, "per_class": [size // num_classes] * num_classes}
            for part, size in sizes.items()
        },
        "duplicates": {
            "left_out_as_in_test": 10,
            "copies_within_train": 43,
            "with_conflicting_labels": 1,
        },
        "sha256": {"train": "0a1b2c3d" * 8, "test": "4e5f6071" * 8},
    }


def _registration(study):
    return {
        "registered_model": "fashion_mnist-classifier",
        "version": "1",
        "registered": True,
        "champion": True,
        "reason": "there was no champion before",
        "study": study,
        "weights_sha256": "aabbccdd" * 8,
        "confirmation": {"objective": "val_accuracy", "mean": 0.94, "n": 5_000, "num_seeds": 3},
    }


def _write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    from pipeline.stages.report import run

    print(run(root=write_example(Path(sys.argv[1]))))
