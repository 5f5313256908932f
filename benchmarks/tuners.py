"""The same minutes for what people glue together by hand: best head on the same cached features.

In a checkout that has been run, on the features of the plan's first cut (or of several side by
side, where that is its first) and of mirrored images, where it has them, with a plain version of
the search space of heads (no clipping, cosine decay, dropout everywhere, no fine-tuning), each set
up as its own documentation does it:

- `optuna`: one process, `study.optimize`, Keras' `fit` with early stopping, median pruning by a
  callback, a run in MLflow for each trial;
- `keras_tuner`: Hyperband with early stopping (`pip install keras-tuner tensorboard`);
- `autokeras`: its image classifier, on the images instead of the features
  (`pip install autokeras tensorboard`);
- `ray`: Ray Tune with OptunaSearch and ASHA, one core a trial (`pip install -e ".[ray]"`).

Each has the time that this checkout's search and confirmation of the study took, by
`mlruns/clock.json`. Chosen is by the validation part, judged on the confirmation part, of which
none of them sees anything before. This project's own line comes from its records: the mean of the
trial that its search ranks first, to be compared with the others'; and what it goes on to, which
the confirmation part itself decided (the winner and the exported model).

Run in a checkout after `dvc repro`: python -m benchmarks.tuners [--study transfer] [--epochs 10]
         [--only optuna keras_tuner autokeras ray] [--seconds S]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from pipeline.processes import num_cores
from pipeline.training.devices import configure_tensorflow

PATIENCE = 3
Curve = list[tuple[float, float]]


class Data:
    """Features of the first cut and labels, by part; float32 in memory, as such scripts have them.

    Args:
        root: The checkout.
        study: Its study, of whose base the features are.
    """

    def __init__(self, root: Path, study: str) -> None:
        base = json.loads((root / f"results/{study}/confirm.json").read_text())["base"]
        plan = json.loads((root / "results/plan.json").read_text())
        self.cut = plan["bases"][base]["cuts"][0]
        features = np.load(root / f"data/features/{base}/{self.cut}.npy", mmap_mode="r")
        self.train_file = root / "data/train.npz"
        with np.load(self.train_file) as archive:
            labels = archive["labels"]
            rows = {part: archive[part] for part in ("train", "val", "confirmation")}
        self.num_classes = int(labels.max()) + 1
        self.x = {part: np.asarray(features[own], np.float32) for part, own in rows.items()}
        self.x = {part: own.reshape(len(own), -1) for part, own in self.x.items()}
        self.y = {part: labels[own] for part, own in rows.items()}
        # Below the rows of the images are those of mirrored ones: all of the train part.
        views = np.asarray(features[len(labels) :], np.float32).reshape(-1, self.x["val"].shape[1])
        self.x["train"] = np.concatenate([self.x["train"], views])
        self.y["train"] = np.resize(self.y["train"], len(self.x["train"]))
        mean, deviation = self.x["train"].mean(axis=0), self.x["train"].std(axis=0) + 1e-3
        for own in self.x.values():
            own -= mean
            own /= deviation


def build(drawn: dict[str, Any], data: Data, *, epochs: int) -> Any:
    """Returns a compiled head: the heads of `studies.transfer`, in plain Keras."""
    import keras

    network = [keras.Input((data.x["train"].shape[1],)), keras.layers.Dropout(drawn["dropout"])]
    for _ in range(drawn["num_layers"]):
        network.append(keras.layers.Dense(drawn["units"]))
        if drawn["normalization"]:
            network.append(keras.layers.BatchNormalization())
        network.append(keras.layers.Activation(drawn["activation"]))
        network.append(keras.layers.Dropout(drawn["dropout"]))
    network.append(keras.layers.Dense(data.num_classes, activation="softmax"))
    model = keras.Sequential(network)
    steps = epochs * len(data.x["train"]) // drawn["batch_size"]
    rate = keras.optimizers.schedules.CosineDecay(drawn["learning_rate"], steps)
    optimizers = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
    model.compile(
        optimizers[drawn["optimizer"]](rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def fit(
    drawn: dict[str, Any],
    data: Data,
    *,
    epochs: int,
    on_epoch: Callable[[int, float], None] = lambda epoch, value: None,
) -> tuple[float, float]:
    """Returns the best validation accuracy of a training, and that of the confirmation part."""
    import keras

    model = build(drawn, data, epochs=epochs)
    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: on_epoch(epoch, logs["val_accuracy"])
    )
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=PATIENCE, restore_best_weights=True
    )
    history = model.fit(
        data.x["train"],
        data.y["train"],
        batch_size=drawn["batch_size"],
        epochs=epochs,
        validation_data=(data.x["val"], data.y["val"]),
        callbacks=[told, stop],
        verbose=0,
    )
    _, judged = model.evaluate(data.x["confirmation"], data.y["confirmation"], verbose=0)
    return max(history.history["val_accuracy"]), judged


def by_optuna(data: Data, args: argparse.Namespace) -> tuple[Curve, float]:
    """Searches with Optuna, and keeps runs in MLflow."""
    import mlflow
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    start, curve, best = time.monotonic(), [], [0.0, 0.0]

    def objective(trial: Any) -> float:
        drawn = {
            "num_layers": trial.suggest_int("num_layers", 1, 2),
            "units": trial.suggest_int("units", 96, 768, log=True),
            "activation": trial.suggest_categorical("activation", ["relu", "elu", "selu", "silu"]),
            "normalization": trial.suggest_categorical("normalization", [True, False]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "optimizer": trial.suggest_categorical("optimizer", ["adam", "adamw"]),
            "learning_rate": trial.suggest_float("learning_rate", 3e-4, 4e-3, log=True),
            "batch_size": trial.suggest_categorical("batch_size", [128, 256]),
        }

        def on_epoch(epoch: int, value: float) -> None:
            mlflow.log_metric("val_accuracy", value, step=epoch)
            trial.report(value, epoch)
            if time.monotonic() - start > args.seconds:
                study.stop()
                raise optuna.TrialPruned
            if trial.should_prune():
                raise optuna.TrialPruned

        with mlflow.start_run():
            mlflow.log_params(drawn)
            value, judged = fit(drawn, data, epochs=args.epochs, on_epoch=on_epoch)
        if value > best[0]:
            best[:] = value, judged
            curve.append((time.monotonic() - start, value))
        return value

    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        study = optuna.create_study(
            direction="maximize", storage=f"sqlite:///{folder}/optuna.db", study_name="plain"
        )
        study.optimize(objective, timeout=args.seconds)
        print(f"  {len(study.trials)} trials")
    return curve, best[1]


def by_keras_tuner(data: Data, args: argparse.Namespace) -> tuple[Curve, float]:
    """Searches with KerasTuner's Hyperband, over and over until the time is up."""
    import keras
    import keras_tuner

    class Heads(keras_tuner.HyperModel):
        def build(self, drawn: Any) -> Any:
            return build(
                {
                    "num_layers": drawn.Int("num_layers", 1, 2),
                    "units": drawn.Int("units", 96, 768, sampling="log"),
                    "activation": drawn.Choice("activation", ["relu", "elu", "selu", "silu"]),
                    "normalization": drawn.Boolean("normalization"),
                    "dropout": drawn.Float("dropout", 0.0, 0.6),
                    "optimizer": drawn.Choice("optimizer", ["adam", "adamw"]),
                    "learning_rate": drawn.Float("learning_rate", 3e-4, 4e-3, sampling="log"),
                    "batch_size": drawn.Choice("batch_size", [128, 256]),
                },
                data,
                epochs=args.epochs,
            )

        def fit(self, drawn: Any, model: Any, *arguments: Any, **settings: Any) -> Any:
            return model.fit(*arguments, batch_size=drawn.get("batch_size"), **settings)

    watch = _watch(data.x["confirmation"], data.y["confirmation"], args.seconds)
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.Hyperband(
            Heads(),
            "val_accuracy",
            max_epochs=args.epochs,
            factor=3,
            hyperband_iterations=100,
            directory=folder,
        )
        early = keras.callbacks.EarlyStopping("val_accuracy", patience=PATIENCE)
        with suppress(keras_tuner.errors.FatalError):
            tuner.search(
                data.x["train"],
                data.y["train"],
                validation_data=(data.x["val"], data.y["val"]),
                callbacks=[watch, early],
                verbose=0,
            )
        trials = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
        first = [values for values in trials if "tuner/trial_id" not in values]
        print(f"  {len(first)} configurations, {len(trials)} trainings")
    return watch.told.curve, watch.told.judged


def by_autokeras(data: Data, args: argparse.Namespace) -> tuple[Curve, float]:
    """Searches with AutoKeras' image classifier, which gets the images themselves."""
    import autokeras
    import keras_tuner

    with np.load(data.train_file) as archive:
        x = {part: archive["images"][archive[part]] for part in data.y}
        y = {part: archive["labels"][archive[part]] for part in data.y}
    watch = _watch(x["confirmation"], y["confirmation"], args.seconds)
    with tempfile.TemporaryDirectory() as folder:
        classifier = autokeras.ImageClassifier(directory=folder)
        with suppress(keras_tuner.errors.FatalError):
            classifier.fit(
                x["train"],
                y["train"],
                validation_data=(x["val"], y["val"]),
                callbacks=[watch],
                verbose=0,
            )
        print(f"  {len(classifier.tuner.oracle.trials)} trials")
    return watch.told.curve, watch.told.judged


@dataclass
class Told:
    """What a search has reached: best validation accuracies by second, and the best one judged."""

    curve: Curve = field(default_factory=list)
    judged: float = 0.0


def _watch(images: np.ndarray, labels: np.ndarray, seconds: float) -> Any:
    """Returns a callback that judges each new best network, and ends a search when it is time.

    KerasTuner copies callbacks for each trial: what they were told is kept beside them.
    """
    import keras
    import keras_tuner

    began, told = time.monotonic(), Told()

    class Watch(keras.callbacks.Callback):
        @property
        def told(self) -> Told:
            return told

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            value = logs.get("val_accuracy", 0.0)
            if not told.curve or value > told.curve[-1][1]:
                told.curve.append((time.monotonic() - began, value))
                probabilities = self.model.predict(images, batch_size=256, verbose=0)
                told.judged = float((probabilities.argmax(axis=1) == labels).mean())
            if time.monotonic() - began > seconds:
                raise keras_tuner.errors.FatalError("The time is up.")

    return Watch()


def by_ray(data: Data, args: argparse.Namespace) -> tuple[Curve, float]:
    """Searches with Ray Tune: OptunaSearch and ASHA."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    ray.init(num_cpus=num_cores(), include_dashboard=False, log_to_driver=False)
    start = time.monotonic()
    shared = ray.put(data)

    def train(drawn: dict[str, Any]) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        own = ray.get(shared)
        own.x = {part: np.array(values) for part, values in own.x.items()}
        fit(
            drawn,
            own,
            epochs=args.epochs,
            on_epoch=lambda epoch, value: tune.report({"val_accuracy": value}),
        )

    space = {
        "num_layers": tune.randint(1, 3),
        "units": tune.lograndint(96, 769),
        "activation": tune.choice(["relu", "elu", "selu", "silu"]),
        "normalization": tune.choice([True, False]),
        "dropout": tune.uniform(0.0, 0.6),
        "optimizer": tune.choice(["adam", "adamw"]),
        "learning_rate": tune.loguniform(3e-4, 4e-3),
        "batch_size": tune.choice([128, 256]),
    }
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="val_accuracy",
                mode="max",
                search_alg=OptunaSearch(),
                scheduler=ASHAScheduler(max_t=args.epochs, grace_period=1, reduction_factor=3),
                num_samples=-1,
                time_budget_s=args.seconds,
                max_concurrent_trials=num_cores(),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        frames = [one.metrics_dataframe for one in results if one.metrics_dataframe is not None]
        print(f"  {len(results)} trials")
        best = results.get_best_result(scope="all")
    ray.shutdown()
    # Its documentation leaves it to the user to train the best configuration once more.
    ends = sorted(
        (row.timestamp, row.val_accuracy) for frame in frames for row in frame.itertuples()
    )
    began, curve = time.time() - (time.monotonic() - start), []
    for at, value in ends:
        if not curve or value > curve[-1][1]:
            curve.append((at - began, value))
    _, judged = fit(best.config, data, epochs=args.epochs)
    return curve, judged


TUNERS = {
    "optuna": by_optuna,
    "keras_tuner": by_keras_tuner,
    "autokeras": by_autokeras,
    "ray": by_ray,
}


def own(root: Path, study: str) -> str:
    """Returns what this checkout's search and confirmation reached."""
    confirmed = json.loads((root / f"results/{study}/confirm.json").read_text())
    searched = json.loads((root / f"results/{study}/study.json").read_text())["trials"]
    first, *_ = confirmed["candidates"]
    winner = confirmed["winner"]
    count = sum(one["user_attrs"].get("promoted_from") is None for one in searched)
    exported = winner["metrics"]["accuracy"]
    return (
        f"this project: {count} configurations, {len(searched)} trainings; confirmation "
        f"{first['mean']:.4f} for the search's first, trial {first['number']}; decided by that "
        f"part: {winner['mean']:.4f} for trial {winner['number']}, exported model {exported:.4f}"
    )


def main() -> None:
    """Prints a line for each tuner, with its best validation accuracy over time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="transfer")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=list(TUNERS), choices=list(TUNERS))
    parser.add_argument("--seconds", type=float)
    args = parser.parse_args()
    root = Path.cwd()
    configure_tensorflow(num_threads=num_cores())
    spent = json.loads((root / "mlruns/clock.json").read_text())
    stages = (f"search@{args.study}", f"confirm@{args.study}")
    args.seconds = args.seconds or sum(spent[stage]["seconds"] for stage in stages)
    data = Data(root, args.study)
    n = len(data.y["confirmation"])
    print(f"{data.cut}, {args.seconds:.0f} s each, n={n:,}; {machine()}")
    print(own(root, args.study), flush=True)
    for name in args.only:
        curve, judged = TUNERS[name](data, args)
        said = ", ".join(f"{at:.0f} s {value:.4f}" for at, value in curve)
        print(f"{name}: confirmation {judged:.4f}; best validation accuracy {said}", flush=True)


if __name__ == "__main__":
    main()
