"""Trains one trial: from hyperparameters and a data reference to metrics and a model file.

A pure function of its arguments and the data they name. It knows neither Optuna nor MLflow, so
that the same function runs in a local process or on another machine; TensorFlow is imported only
when it is called, so that a spawned worker can first say how many threads it gets.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InfeasibleTrialError
from pipeline.tuning.records import Report, TrialData, TrialResult, TrialSpec

if TYPE_CHECKING:
    import keras

    from pipeline.training.features import CutData
    from pipeline.training.fit import FitResult


def run_trial(spec: TrialSpec, data: TrialData, report: Report) -> TrialResult:
    """Trains a head on cached features and returns what came of it.

    Trains on the part `train` and chooses the epoch on `val`. Whatever ended the training, the
    best epoch so far is what the result, the judged part and the model file are about.

    Args:
        spec: What to train.
        data: What to train it on.
        report: Hears of each epoch; True stops the training.

    Raises:
        ConfigError: If the spec names an unknown cut, schedule, optimizer or layer.
        DataIntegrityError: If the data are missing or do not fit each other.
        InfeasibleTrialError: If these hyperparameters contradict each other or do not fit into
            the accelerator's memory.
    """
    start = time.perf_counter()
    cut_data = data.load_cut(str(spec.hyperparameters["cut"]), judge=spec.judge)
    model = _build_model(spec, cut_data)
    fit = _train(model, cut_data, spec, report)
    metrics = dict(fit.best.metrics) if fit.best else {}
    model_file, weights_sha256 = None, ""
    if fit.best:
        metrics |= _judged(model, cut_data, spec)
        model_file, weights_sha256 = _kept(model, spec)
    return TrialResult(
        outcome=fit.outcome,
        best_epoch=fit.best.epoch if fit.best else None,
        metrics=metrics,
        num_parameters=model.count_params(),
        num_epochs=fit.num_epochs,
        seconds=time.perf_counter() - start,
        model_file=model_file,
        weights_sha256=weights_sha256,
        notes=fit.notes,
    )


def _build_model(spec: TrialSpec, cut_data: "CutData") -> "keras.Model":
    import keras

    from pipeline.models.heads import build_head

    # Frees the graph of the trial that ran in this process before.
    keras.backend.clear_session()
    return build_head(
        cut_data.shape,
        cut_data.training.num_classes,
        spec.hyperparameters,
        mean=cut_data.mean,
        variance=cut_data.variance,
        seed=spec.seed,
    )


def _train(
    model: "keras.Model", cut_data: "CutData", spec: TrialSpec, report: Report
) -> "FitResult":
    import tensorflow as tf

    from pipeline.training.fit import train

    try:
        return train(
            model,
            cut_data.training,
            spec.hyperparameters,
            epochs=range(spec.epochs),
            seed=spec.seed,
            objective=spec.objective,
            report=report,
        )
    except tf.errors.ResourceExhaustedError as error:
        raise InfeasibleTrialError(
            "The training must fit into memory; a smaller batch or a smaller cut may. "
            f"Received: batch_size={spec.hyperparameters['batch_size']!r}, "
            f"cut={spec.hyperparameters['cut']!r}, {error.message.splitlines()[0]}."
        ) from error


def _judged(model: "keras.Model", cut_data: "CutData", spec: TrialSpec) -> dict[str, float]:
    from pipeline.evaluation.metrics import classification_metrics
    from pipeline.training.predictions import Predictor

    if cut_data.judge is None:
        return {}
    data = cut_data.training
    metrics = classification_metrics(
        Predictor(model)(data.features, cut_data.judge), data.labels[cut_data.judge]
    )
    return {f"{spec.judge}_{name}": value for name, value in metrics.items()}


def _kept(model: "keras.Model", spec: TrialSpec) -> tuple[str | None, str]:
    from pipeline.models.weights import weights_sha256

    if spec.model_file is not None:
        _save(model, Path(spec.model_file))
    return spec.model_file, weights_sha256(model)


def _save(model: "keras.Model", path: Path) -> None:
    from pipeline.data.files import write_whole
    from pipeline.models.export import for_inference

    with write_whole(path) as part:
        for_inference(model).save(part)
