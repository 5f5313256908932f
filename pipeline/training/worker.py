"""Trains one trial: from hyperparameters and a data reference to metrics and a model file.

A pure function of its arguments and the data they name. It knows neither Optuna nor MLflow, so
that the same function runs in a local process or on another machine; TensorFlow is imported only
when it is called, so that a spawned worker can first say how many threads it gets.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InfeasibleTrialError
from pipeline.hyperparameter import Value
from pipeline.training.data import TrialData
from pipeline.training.messages import Report, TrialResult, TrialSpec, answers_file
from pipeline.training.segments import MIN_EPOCHS_OF_TWO_PHASES

if TYPE_CHECKING:
    import keras

    from pipeline.bases.cuts import PooledCut
    from pipeline.training.data import CutData
    from pipeline.training.fit import FitResult
    from pipeline.training.phases import Phase


# Of one base at a time, and of that a handful: what a study's trials start from.
_bases: dict[str, keras.Model] = {}
_segments: dict[tuple[object, ...], tuple[str, keras.Model]] = {}


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """What a phase gave: a model with its best epoch's weights, and the features it takes."""

    model: keras.Model
    cut: str
    cut_data: CutData
    fit: FitResult


@dataclass(frozen=True, kw_only=True)
class _Unfrozen:
    """What phase 2 trains a copy of: a segment of the base, from a cut's features on."""

    segment: keras.Model
    cut: str
    cut_data: CutData


def run_trial(spec: TrialSpec, data: TrialData, report: Report) -> TrialResult:
    """Trains a head on cached features, then layers of the base below it, if the spec says so.

    Trains on the part `train` and chooses the epoch, of whichever phase, on `val`. Whatever ended
    the training, the best epoch so far is what the result, the judged part and the model file are
    about.

    Args:
        spec: What to train: hyperparameters, seed, epochs, and what is wanted of the model.
        data: What to train it on.
        report: Hears of each epoch; True stops the training.

    Raises:
        ConfigError: If the spec names an unknown cut, schedule, optimizer or layer, or fewer cuts
            are cached below its own than it unfreezes segments.
        DataIntegrityError: If the data are missing or do not fit each other.
        InfeasibleTrialError: If these hyperparameters contradict each other, ask for more layers
            than can be unfrozen, or do not fit into the accelerator's memory.
    """
    start = time.perf_counter()
    phases = _run_phases(spec, data, report)
    # Now that Keras has been needed: what is refused is refused without it.
    from pipeline.training import programs

    kept = _better(phases, spec.objective)
    metrics = dict(kept.fit.best.metrics) if kept.fit.best else {}
    model_file, weights_sha256 = None, ""
    if kept.fit.best:
        metrics |= _judged(kept, spec)
        model_file, weights_sha256 = _kept(kept.model, spec)
    num_parameters = kept.model.count_params()
    for phase in phases:
        programs.keep(phase.fit.steps)
    return TrialResult(
        outcome=_outcome(phases),
        best_epoch=kept.fit.best.epoch if kept.fit.best else None,
        metrics=metrics,
        num_parameters=num_parameters,
        num_images=kept.cut_data.training.num_train_images,
        num_epochs=sum(phase.fit.num_epochs for phase in phases),
        seconds=time.perf_counter() - start,
        starts_from=kept.cut,
        model_file=model_file,
        weights_sha256=weights_sha256,
        notes=_notes(phases),
    )


def _run_phases(wanted: TrialSpec, data: TrialData, report: Report) -> list[_Trained]:
    from pipeline.training import phases
    from pipeline.training.portions import shrunk

    spec = shrunk(wanted)
    values, cut = spec.hyperparameters, str(spec.hyperparameters["cut"])
    starts = data.phase_2_starts(values)
    if starts and spec.epochs < MIN_EPOCHS_OF_TWO_PHASES:
        raise InfeasibleTrialError(
            f"Two phases need two epochs or more. Received: epochs={spec.epochs}, "
            f"unfreeze={values['unfreeze']}."
        )
    cut_data = _load(data, cut, wanted)
    head = _build_head(spec, cut_data)
    # Before anything is trained: a trial that cannot have its second phase has no first one.
    unfrozen = _unfreeze(wanted, data, starts, upper=cut_data.feed) if starts else None
    fit = _train(head, cut_data, spec, phases.phase_1(values, spec.epochs), report)
    first = _Trained(model=head, cut=cut, cut_data=cut_data, fit=fit)
    if unfrozen is None or fit.outcome != "complete":
        return [first]
    phase = phases.phase_2(
        values, spec.epochs, first_epoch=fit.num_epochs, last_learning_rate=fit.learning_rate
    )
    return [first, _fine_tune(first, spec, unfrozen, phase, report)]


def _unfreeze(
    spec: TrialSpec, data: TrialData, starts: Sequence[str], *, upper: Sequence[PooledCut]
) -> _Unfrozen:
    from pipeline.training.segments import num_layers

    wanted = num_layers(spec.hyperparameters)
    cut, segment = _segment(data, tuple(starts), tuple(upper), wanted)
    return _Unfrozen(segment=segment, cut=cut, cut_data=_load(data, cut, spec))


def _segment(
    data: TrialData, starts: tuple[str, ...], upper: tuple[PooledCut, ...], num_layers: int | None
) -> tuple[str, keras.Model]:
    """Returns where phase 2 starts, and the layers above it, which nobody may train.

    They are kept, and the base of the last: to load it takes 2 s. By its key, not by the data,
    whose arrays would be held with it.
    """
    from pipeline.training.segments import cut_segment, nearest_start

    key = (data.base_key, starts, upper, num_layers)
    if key in _segments:
        return _segments[key]
    if data.base_key not in _bases:
        _bases.clear()
        _segments.clear()
        _bases[data.base_key] = data.load_base()
    base = _bases[data.base_key]
    cut = nearest_start(base, starts, upper, num_layers=num_layers)
    _segments[key] = cut, cut_segment(base, cut, upper, num_layers=num_layers)
    return _segments[key]


def _load(data: TrialData, cut: str, wanted: TrialSpec) -> CutData:
    """Opens a cut's features, and leaves what the spec wants of the images to train on."""
    from pipeline.training.bootstrap import bootstrap
    from pipeline.training.portions import num_images, portion_of, subset

    found = data.load_cut(cut, judge=wanted.judge)
    training = found.training
    if wanted.share < 1.0:
        size = num_images(
            portion_of(wanted),
            num_train=training.num_train_images,
            images_per_epoch=int(wanted.hyperparameters["images_per_epoch"]),
            num_classes=training.num_classes,
        )
        training = subset(training, size)
    # Trials of before there was such a thing do not say.
    if wanted.hyperparameters.get("bootstrap"):
        training = bootstrap(training, seed=wanted.seed)
    return replace(found, training=training)


def _fine_tune(
    first: _Trained, spec: TrialSpec, unfrozen: _Unfrozen, phase: Phase, report: Report
) -> _Trained:
    from pipeline.training.fine_tuned import FineTuned

    model = FineTuned(unfrozen.segment, first.model)
    fit = _train(model, unfrozen.cut_data, spec, phase, report)
    return _Trained(model=model, cut=unfrozen.cut, cut_data=unfrozen.cut_data, fit=fit)


def _outcome(phases: Sequence[_Trained]) -> str:
    first, last = phases[0].fit, phases[-1].fit
    # A second phase that diverges takes nothing from the first, whose model is there.
    has_diverged_after = last is not first and last.outcome == "diverged"
    return first.outcome if has_diverged_after and first.best else last.outcome


def _better(phases: Sequence[_Trained], objective: str) -> _Trained:
    """Returns the phase with the best epoch; the first wins a tie, its model is the smaller."""
    from pipeline.evaluation.objectives import OBJECTIVES

    better = phases[0]
    for phase in phases[1:]:
        ours, theirs = phase.fit.best, better.fit.best
        if ours is None or theirs is None:
            continue
        values = [best.metrics[OBJECTIVES[objective].metric] for best in (ours, theirs)]
        better = phase if OBJECTIVES[objective].is_better(*values) else better
    return better


def _notes(phases: Sequence[_Trained]) -> dict[str, Value]:
    first, *rest = phases
    notes = dict(first.fit.notes)
    for second in rest:
        notes |= {f"phase_2_{name}": value for name, value in second.fit.notes.items()}
        notes |= {"phase_2_first_epoch": first.fit.num_epochs, "phase_2_starts_from": second.cut}
    return notes


def _build_head(spec: TrialSpec, cut_data: CutData) -> keras.Model:
    from pipeline.training.head import build_head

    # Frees the graph of the trial that ran in this process before. Keras' clear_session would make
    # TensorFlow compile what `programs` keeps once more.
    gc.collect()
    return build_head(
        cut_data.shape,
        cut_data.training.num_classes,
        spec.hyperparameters,
        mean=cut_data.mean,
        variance=cut_data.variance,
        seed=spec.seed,
        part_sizes=cut_data.part_sizes,
    )


def _train(
    model: keras.Model, cut_data: CutData, spec: TrialSpec, phase: Phase, report: Report
) -> FitResult:
    import tensorflow as tf

    from pipeline.training.fit import train

    data = cut_data.training
    try:
        return train(
            model,
            data if spec.hyperparameters["views"] == "all" else data.without_views(),
            spec.hyperparameters,
            phase=phase,
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


def _judged(trained: _Trained, spec: TrialSpec) -> dict[str, float]:
    import numpy as np

    from pipeline.evaluation.metrics import classification_metrics
    from pipeline.files import write_whole

    rows, data = trained.cut_data.judge, trained.cut_data.training
    if rows is None:
        return {}
    answers = trained.fit.steps.predict(data, rows)
    if spec.model_file is not None:
        with write_whole(Path(answers_file(spec.model_file))) as part:
            np.save(part, answers)
    metrics = classification_metrics(answers, data.labels[rows])
    return {f"{spec.judge}_{name}": value for name, value in metrics.items()}


def _kept(model: keras.Model, spec: TrialSpec) -> tuple[str | None, str]:
    from pipeline.bases.model_files import weights_sha256

    if spec.model_file is not None:
        _save(model, Path(spec.model_file))
    return spec.model_file, weights_sha256(model)


def _save(model: keras.Model, path: Path) -> None:
    from pipeline.files import write_whole
    from pipeline.training.export import for_inference
    from pipeline.training.fine_tuned import FineTuned

    flat = model.flat() if isinstance(model, FineTuned) else for_inference(model)
    with write_whole(path) as part:
        flat.save(part)
