"""Descriptions of an experiment, a study's run and a trial's run, as MLflow's UI shows them; pure.

Markdown. Each follows from the records alone, so that it is the same whenever it is written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.plural import plural
from pipeline.records.mirror.expected_run import INACTIVE, STATUS_OF_STATE
from pipeline.records.mirror.prepared_view import axes, run_page
from pipeline.trials.ranking import ranked
from pipeline.trials.record import CUT_OFF, TrialRecord

NOTE: Final = "mlflow.note.content"
"""MLflow's tag of a description."""
OURS: Final = "mlflow.note.sha256"
"""Tag of the hash of the description that we wrote: one that a user changed stays.

The UI hides tags that begin with `mlflow.`.
"""
NUM_BEST: Final = 5
NUM_COLUMNS: Final = 6
MOST_LETTERS: Final = 24
# A sentence for each state that a run can have; MLflow's own words are those of processes.
ENDS: Final = {
    "COMPLETE": "ran to its end",
    "PRUNED": "was stopped early, since others were better at the same epoch",
    "FAIL": "failed",
    CUT_OFF: "was cut off",
    "RUNNING": "is running",
}


def note_tags(text: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags that are to be written for a description; none where nothing changes.

    Args:
        text: The description.
        tags: As they are now; a description that is not the one we wrote is a user's, and stays.
    """
    known = tags.get(NOTE, "")
    if known == text:
        # The hash is missing where a process was killed between the two.
        return {} if tags.get(OURS) == _sha256(text) else {OURS: _sha256(text)}
    if known and _sha256(known) != tags.get(OURS):
        return {}
    return {NOTE: text, OURS: _sha256(text)}


def experiment_note(dataset: str, views: Mapping[str, str]) -> str:
    """Describes the experiment of a data set.

    Args:
        dataset: Its name.
        views: Of each study that has one: its name and the page, what comes after `#/`.
    """
    links = "\n".join(f"- [{study}](#/{page})" for study, page in sorted(views.items()))
    return (
        f"Searches of hyperparameters for a classifier of the images of **{dataset}**.\n\n"
        f"Trials of a study side by side, with columns and charts chosen:\n\n{links}\n\n"
        "The same views are in the menu *Views* above the runs. A run with children is a whole "
        "study; its description says what it found. Status: `FINISHED` is a trial that ran to its "
        "end, `KILLED` one that was stopped early (pruned), `FAILED` one that was lost. A "
        "parameter `-` does not apply to that trial.\n\n"
        "The models that came of it are in *Models*; `python -m pipeline report` has written "
        "`results/report/index.html`, which says what was found and how sure it is."
    )


def study_note(
    study: str,
    trials: Sequence[TrialRecord],
    *,
    objective: ObjectiveSpec,
    runs: Mapping[int, str],
    page: str,
    experiment: str,
) -> str:
    """Describes a study: what came of it, its best trials, and what to click.

    Args:
        study: Key below `studies`.
        trials: All of its trials.
        objective: What it optimizes.
        runs: MLflow's id of the run of each trial, by number.
        page: Of its prepared view, what comes after `#/`.
        experiment: The experiment's id.
    """
    best = ranked(trials, objective.direction)
    found = (
        f"Best: trial {best[0].number}, {best[0].value:.4f}." if best else "None is complete yet."
    )
    # The UI shows the first lines, and the rest after a click.
    return (
        f"**[All trials side by side](#/{page})**: parallel coordinates, curves, a table.\n\n"
        f"Study **{study}**: {_counted(trials)}, judged by `{objective.metric}` "
        f"({'higher' if objective.direction == 'maximize' else 'lower'} is better). {found}\n\n"
        "**What else to click**\n\n"
        "- *Artifacts*, above: `trials.csv` is the table of all trials, `figures` shows the "
        "search, `plan.json` says why this base, size and number of trials, `study.json` is the "
        "whole record.\n"
        "- A trial below or in the table: *Model metrics* has its curves.\n"
        f"- `{study}-NNNN-confirm-SEED` are the best trials, trained again with other seeds and "
        "scored on images that no search has seen. Believe those: the best of many trials is "
        "partly luck.\n\n"
        f"{_table(best[:NUM_BEST], axes(trials, objective.metric), objective, runs, experiment)}"
    )


def trial_note(trial: TrialRecord, study: str, *, objective: ObjectiveSpec) -> str:
    """Describes a trial: what became of it, where in the study it stands, what was searched.

    Args:
        trial: Of a study.
        study: Key below `studies`.
        objective: What the study optimizes.
    """
    searched = ", ".join(f"`{name}` {trial.texts[name]}" for name in sorted(trial.params))
    parts = [
        f"Trial {trial.number} of study **{study}** {_end(trial)}.",
        _result(trial, objective),
        _rung(trial),
        f"Searched: {searched}." if searched else "",
        "Parameters that are not named here are the study's own, `-` does not apply. "
        "*Model metrics* has the curves.",
    ]
    return "\n\n".join(part for part in parts if part)


def training_note(number: int, seed: str, study: str) -> str:
    """Describes a training of `confirm`.

    Args:
        number: Of the trial whose configuration it has.
        seed: Root of what was drawn in it.
        study: Key below `studies`.
    """
    return (
        f"Trial {number} of study **{study}**, trained again with seed {seed} and scored on the "
        "confirmation images, which no search has seen (metrics `confirmation_...`). What counts "
        "is the mean over its seeds."
    )


def _end(trial: TrialRecord) -> str:
    if trial.is_diverged:
        return f"diverged (`{STATUS_OF_STATE[trial.state]}`): its loss was no number any more"
    told = f"{ENDS[trial.ending]} (`{STATUS_OF_STATE[trial.state]}`)"
    reason = trial.attributes.get("reason")
    return f"{told}: {reason}" if trial.state == "FAIL" and reason else told


def _result(trial: TrialRecord, objective: ObjectiveSpec) -> str:
    curve = trial.curve
    if not curve:
        return ""
    sign = 1 if objective.direction == "maximize" else -1
    epoch = max(curve, key=lambda epoch: (sign * curve[epoch], -epoch))
    return f"Best `{objective.metric}` {curve[epoch]:.4f}, at epoch {epoch} of 0 to {max(curve)}."


def _rung(trial: TrialRecord) -> str:
    if trial.rung is None:
        return ""
    origin = (
        f" It goes on with trial {trial.promoted_from}." if trial.promoted_from is not None else ""
    )
    whole = "a whole training" if trial.share >= 1 else f"{100 * trial.share:.3g}% of a training"
    return f"Rung {trial.rung} of successive halving: {whole}.{origin}"


def _counted(trials: Sequence[TrialRecord]) -> str:
    counts = Counter(trial.ending for trial in trials)
    words = {
        "COMPLETE": "ran to their end",
        "PRUNED": "were stopped early",
        "FAIL": "failed",
        CUT_OFF: "were cut off",
    }
    parts = [f"{counts[state]} {word}" for state, word in words.items() if counts[state]]
    return f"{plural(len(trials), 'trial')}, of which {', '.join(parts) or 'none has ended'}"


def _table(
    best: Sequence[TrialRecord],
    hyperparameters: Sequence[str],
    objective: ObjectiveSpec,
    runs: Mapping[int, str],
    experiment: str,
) -> str:
    names = hyperparameters[:NUM_COLUMNS]
    head = ["Trial", objective.metric, *names]
    rows = [
        [
            f"[{trial.number}](#/{run_page(experiment, runs[trial.number])})"
            if trial.number in runs
            else str(trial.number),
            "-" if trial.value is None else f"{trial.value:.4f}",
            *(_short(trial.texts.get(name, INACTIVE)) for name in names),
        ]
        for trial in best
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        short = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."
        return short.replace("|", "\\|")
    return f"{number:.4g}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
