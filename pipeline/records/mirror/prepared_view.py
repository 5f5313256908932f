"""A saved view of MLflow's UI on a study: its trials side by side, with columns and charts chosen.

The UI of MLflow 3.17 keeps a saved view as a tag of the experiment, `mlflow.sharedViewState.KEY`,
and opens it at `?viewStateShareKey=KEY`; it also stands in the menu "Views" above the runs. The
format is the UI's own and may change with any release: what it does not understand it leaves out,
or says that the key is invalid. `tests/records/mirror/test_prepared_view.py` opens one in a real
browser, so that an upgrade that breaks it is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.records.mirror.expected_run import INACTIVE, hyperparameter_texts
from pipeline.trials.record import TrialRecord

KEY: Final = "mlflow.sharedViewState."
"""Begins the experiment's tags that are views."""

WORKFLOW: Final = "workflowType=machine_learning"
"""Of an address; without it MLflow 3.17 begins with traces and prompts."""

MOST_AXES: Final = 9
"""More labels overlap in a chart of half a window."""

# What the lectures and our own measurements say matters most comes first; the rest as it is named.
LEADING: Final = (
    *("cut", "learning_rate", "optimizer", "num_layers", "units", "activation"),
    *("dropout_rate", "normalization", "schedule", "batch_size"),
)
# A saved view has a time and the menu puts the latest first; none of ours may depend on the clock.
SAVED_AT: Final = 0
# Ids of the UI's columns that stay on the left, and pixels of one whose name is long.
PINNED: Final = ("attributes.`Run Name`", "runDateAndNestInfo")
WIDE: Final = 140
# Tells our views from those that a user saved.
_BEGIN: Final = f'{{"createdAt": {SAVED_AT}, "name": '
NAME: Final = ": trials side by side"
"""Ends the name of a view; before it stands the study's."""

TEXTS_SHOWN: Final = 30
"""Of more different texts on one axis the UI leaves trials out."""


def page_of(experiment: str, key: str) -> str:
    """Returns where a view is opened, what comes after `#/` in the UI's address.

    >>> page_of("1", "transfer")
    'experiments/1/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=transfer'
    """
    return f"experiments/{experiment}/runs?{WORKFLOW}&compareRunsMode=CHART&viewStateShareKey={key}"


def run_page(experiment: str, run_id: str) -> str:
    """Returns where a run is shown, likewise."""
    return f"experiments/{experiment}/runs/{run_id}?{WORKFLOW}"


def views_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the prepared views among an experiment's tags, not a user's own: study -> key.

    Args:
        tags: Of the experiment.
    """
    found = {}
    for tag, text in tags.items():
        if tag.startswith(KEY) and text.startswith(_BEGIN):
            name = str(json.loads(text)["name"])
            found[name.removesuffix(NAME)] = tag.removeprefix(KEY)
    return found


def prepared_view(
    study: str,
    trials: Sequence[TrialRecord],
    *,
    key: str,
    parent: str,
    objective: ObjectiveSpec,
) -> dict[str, str]:
    """Returns the view of a study's trials, best first, without parent and confirmation runs.

    It is a tag of the experiment, name and text.

    Args:
        study: Key below `studies`.
        trials: All trials of the study.
        key: Of the view, in the tag's name and in the address; letters, digits, `-` and `_`.
        parent: MLflow's id of the study's own run, above its trials.
        objective: What the study optimizes.
    """
    best = f"best_{objective.metric}"
    has_rungs = any(trial.rung is not None for trial in trials)
    columns = _columns(trials, best, has_rungs=has_rungs)
    state = {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{parent}' AND tags.role = 'trial'",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": objective.direction == "minimize",
        "selectedColumns": ["attributes.`Duration`", *columns],
        "columnOrder": [*PINNED, *columns, "duration"],
        "columnWidths": dict.fromkeys(columns[:1], WIDE),
        # Curves of the best 20; the parallel coordinates show every trial.
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunSections": [
            # One wide chart, for nine axes; two below, side by side.
            {**_section("all", f"All trials of {study}"), "columns": 1, "cardHeight": 440},
            {**_section("best", "The best 20, epoch by epoch"), "columns": 2},
            {**_section("rest", "Model metrics"), "display": False},
        ],
        "compareRunCharts": _charts(trials, objective, best, has_rungs=has_rungs),
        # Keeps this order of sections: further charts, one a metric, come closed and below.
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }
    envelope = {
        "name": study + NAME,
        "createdAt": SAVED_AT,
        "updatedAt": SAVED_AT,
        "state": json.dumps(state, sort_keys=True),
    }
    return {KEY + key: json.dumps(envelope, sort_keys=True)}


def axes(trials: Sequence[TrialRecord], metric: str) -> list[str]:
    """Returns the searched hyperparameters that a chart of parallel coordinates can show.

    The UI leaves a trial out that lacks one of them, and of an axis with numbers and texts one of
    the two kinds. So an axis is all numbers or all texts, the mark of what does not apply among
    them, and has at least two different values.

    Args:
        trials: All trials of a study; those that reached nothing are not shown anyway.
        metric: One that every trial has which is shown.
    """
    shown = [trial for trial in trials if metric in trial.metrics]
    names = {name for trial in shown for name in trial.params}
    texts = [hyperparameter_texts(trial, sorted(names)) for trial in shown]
    values = {name: {one[name] for one in texts if name in one} for name in names}
    return [name for name in _ordered(names) if _can_show(values[name])][:MOST_AXES]


def _can_show(values: set[str]) -> bool:
    num_numbers = sum(map(_is_number, values))
    if len(values) < 2:
        return False
    return num_numbers == len(values) or (num_numbers == 0 and len(values) <= TEXTS_SHOWN)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text != INACTIVE


def _ordered(names: set[str]) -> list[str]:
    rest = sorted(names - set(LEADING))
    return [*(name for name in LEADING if name in names), *rest]


def _columns(trials: Sequence[TrialRecord], best: str, *, has_rungs: bool) -> list[str]:
    metrics = [best, "best_val_loss", "best_epoch"]
    searched = _ordered({name for trial in trials for name in trial.params})
    # `health` stands empty for runs without a verdict.
    tags = ["outcome", *(["rung"] if has_rungs else []), "health"]
    return [
        *(f"metrics.`{name}`" for name in dict.fromkeys(metrics)),
        *(f"params.`{name}`" for name in searched),
        *(f"tags.`{name}`" for name in tags),
    ]


def _section(uuid: str, name: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }


def _charts(
    trials: Sequence[TrialRecord], objective: ObjectiveSpec, best: str, *, has_rungs: bool
) -> list[Mapping[str, Any]]:
    size = ["num_images"] if has_rungs else []
    parallel = {
        "type": "PARALLEL",
        "selectedParams": axes(trials, objective.metric),
        # The last one gives the lines their colour.
        "selectedMetrics": [*size, best],
        "showAllRuns": True,
    }
    return [
        _chart("parallel", "all", parallel),
        *(
            _chart(name, "best", _line(name))
            for name in dict.fromkeys((objective.metric, "val_loss"))
        ),
    ]


def _line(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "range": {},
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _chart(uuid: str, section: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 20,
        **config,
    }
