"""Which hyperparameters decided whether a trial was among the best of a search.

Optuna's own: conditional PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv:2304.10255; for
hyperparameters that exist only beside some values of others, arXiv:2601.20800, theorem 4.2). It
compares how the best trials are spread over a hyperparameter with how all are, so that a sampler
that goes where it is good is allowed for, one hyperparameter at a time. Its fANOVA and mean
decrease in impurity leave every conditional hyperparameter out.

What Optuna does not do is done here. Values of different rungs do not compare: the lowest is taken,
where every configuration was trained, and all alike. It drops what was pruned or diverged, as if it
had not been tried: here these count as worse than every complete trial, which is why they were
ended. Trials that were given the result of another one count once. And any few trials make some
hyperparameter look important, one with a range more than one with two choices: what is found is
compared with what is found when the same values are dealt out to the same configurations at random,
for all hyperparameters together (Westfall and Young 1993, "Resampling-based multiple testing",
section 2.3, the step-down's first step).

What it cannot say: which of two hyperparameters that a sampler moved together was the cause.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.effects import ImportanceRecord, ImportancesRecord
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import StudyRecord

if TYPE_CHECKING:
    from optuna import Study

FEWEST: Final = 10
"""Trials, of which anything is said."""
SHARE: Final = 0.1
"""Of the trials that are the best, as Optuna has it, ..."""
FEWEST_BEST: Final = 5
"""... if these are as many: its advice."""
SHUFFLES: Final = 100
SEED: Final = 0
NOISE_QUANTILE: Final = 0.95


def compared(study: StudyRecord) -> list[TrialRecord]:
    """Returns the trials that compare: finished ones of the lowest rung, each configuration once.

    Args:
        study: Its record.
    """
    tried = [one for one in study.trials if one.is_finished and one.duplicate_of is None]
    lowest = min((one.share for one in tried), default=1.0)
    own = [one for one in tried if one.share == lowest and one.distributions]
    return [one for one in own if one.state == "PRUNED" or one.finite_value is not None]


def importances(study: StudyRecord) -> ImportancesRecord | None:
    """Returns which hyperparameters decided, by their scores; None where too few trials say so.

    Args:
        study: Its record.
    """
    trials = compared(study)
    if len(trials) < FEWEST:
        return None
    losses = _losses(trials, study.direction)
    quantile = max(SHARE, FEWEST_BEST / len(trials))
    stored = _stored(trials)
    values = _evaluated(stored, losses, quantile)
    generator = np.random.default_rng(SEED)
    by_chance = [
        _evaluated(stored, generator.permutation(losses), quantile) for _ in range(SHUFFLES)
    ]
    agreement = rank_agreement(study)
    return ImportancesRecord(
        found=_above_chance(values, by_chance, trials),
        share=trials[0].share,
        num_trials=len(trials),
        num_worst=sum(trial.state != "COMPLETE" for trial in trials),
        num_best=int(np.sum(losses <= np.sort(losses)[int(np.ceil(quantile * len(trials))) - 1])),
        agreement=agreement and agreement[0],
        num_agreement=agreement and agreement[1],
    )


def _above_chance(
    values: Mapping[str, float],
    by_chance: Sequence[Mapping[str, float]],
    trials: Sequence[TrialRecord],
) -> list[ImportanceRecord]:
    names, total = list(values), sum(values.values()) or 1.0
    drawn = np.array([[one[name] for name in names] for one in by_chance])
    mean, deviation = drawn.mean(axis=0), np.maximum(drawn.std(axis=0), 1e-12)
    highest = float(np.quantile(((drawn - mean) / deviation).max(axis=1), NOISE_QUANTILE))
    found = [
        ImportanceRecord(
            name=name,
            share=values[name] / total,
            noise=float(mean[place] + highest * deviation[place]) / total,
            score=float((values[name] - mean[place]) / deviation[place]),
            num_trials=sum(name in trial.distributions for trial in trials),
        )
        for place, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: -one.score)


def rank_agreement(study: StudyRecord) -> tuple[float, int] | None:
    """Returns whether the rungs agree on who is better, where they judged the same configurations.

    Args:
        study: Its record.

    Returns:
        Kendall's tau-a, from -1 to 1, of the lowest rung and of the next one that the same
        configurations reached, and over how many; None if fewer than four did.
    """
    by_number = {trial.number: trial for trial in study.trials}
    lowest = {trial.number for trial in compared(study)}
    pairs = [
        (below.value, trial.value)
        for trial in study.trials
        if trial.promoted_from in lowest and trial.state == "COMPLETE"
        if (below := by_number[trial.promoted_from]).value is not None and trial.value is not None
    ]
    if len(pairs) < 4:
        return None
    signs = [np.sign((a[0] - b[0]) * (a[1] - b[1])) for i, a in enumerate(pairs) for b in pairs[:i]]
    return float(np.mean(signs)), len(pairs)


def _losses(trials: Sequence[TrialRecord], direction: str) -> NDArray[np.float64]:
    """Returns the smaller the better: of complete trials the value, of others more than any."""
    sign = -1.0 if direction == "maximize" else 1.0
    values = np.array([sign * (trial.value or 0.0) for trial in trials])
    is_complete = np.array([trial.state == "COMPLETE" for trial in trials])
    worst = values[is_complete].max(initial=0.0) + 1.0
    return np.where(is_complete, values, worst)


def _stored(trials: Sequence[TrialRecord]) -> Study:
    """Returns a study of Optuna's, in memory, in which they have the numbers of their places."""
    import optuna
    from optuna.distributions import json_to_distribution
    from optuna.trial import create_trial

    # It tells of each study that it makes.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for trial in trials:
        distributions = {
            name: json_to_distribution(json.dumps(content))
            for name, content in trial.distributions.items()
        }
        params = dict(trial.params)
        study.add_trial(create_trial(params=params, distributions=distributions, value=0.0))
    return study


def _evaluated(study: Study, losses: NDArray[np.float64], quantile: float) -> Mapping[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    with warnings.catch_warnings():
        # That targets are minimized, as they should be; and which domains a single trial had.
        warnings.simplefilter("ignore")
        found: dict[str, float] = get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile),
            target=lambda trial: float(losses[trial.number]),
            normalize=False,
        )
    return found
