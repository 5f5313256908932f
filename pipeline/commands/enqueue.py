"""Adds a trial of your own to a study's queue, also while it is searched.

Run: python -m pipeline enqueue STUDY key=value ... What is not given is left to the sampler.
"""

import argparse
from pathlib import Path

from pipeline.clock import read_budget
from pipeline.errors import ConfigError
from pipeline.records.overview import read_holder
from pipeline.records.studies import trial_records
from pipeline.search.configurations import (
    completed,
    configuration_problems,
    normalized,
    read_assignments,
)
from pipeline.search.queue import Match, enqueue, find_match, num_wanted
from pipeline.studies.described import CurrentStudy, load_current
from pipeline.training.hyperparameters import described
from pipeline.trials.identity import training_code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("study", help="its name below `studies` in params.yaml")
    parser.add_argument(
        "hyperparameters", nargs="+", metavar="key=value", help="such as units=64 activation=selu"
    )


def main(args: argparse.Namespace) -> int:
    """Queues one trial, or says why that would change nothing.

    Raises:
        ConfigError: If a hyperparameter is not searched or its value cannot be tried.
        StudyError: If the study does not exist yet, or is another one than params.yaml describes.
    """
    root = Path.cwd()
    given = read_assignments(args.hyperparameters)
    current = load_current(args.study, root=root)
    problems = configuration_problems("", given, current.space)
    if problems:
        raise ConfigError("\n  ".join(problems))
    configuration = normalized(given, current.space)
    hyperparameters = completed(configuration, current.space)
    trials = trial_records(current.study)
    match = find_match(trials, configuration, hyperparameters, code=training_code())
    is_replicated = match and match.kind == "tried" and current.search.duplicates == "replicate"
    if match is not None and not is_replicated:
        print(f"{args.study}: nothing queued: {_told(match)}")
        return 0
    number = enqueue(current.study, configuration)
    print(f"{args.study}: queued as trial {number}: {described(configuration)}")
    if match is not None:
        print(f"{_told(match)}; search.duplicates is replicate, so it gets another seed.")
    print(_what_next(current, root))
    return 0


def _told(match: Match) -> str:
    trial = match.trial
    if match.kind == "queued":
        verb = "is being trained" if trial.state == "RUNNING" else "waits already"
        return f"trial {trial.number} is the same configuration and {verb}"
    value = "" if trial.value is None else f" with {trial.value:.4f}"
    part = f", by 1/{1 / trial.share:.0f} of a training" if trial.share < 1 else ""
    return (
        f"trial {trial.number} was the same configuration and ended as {trial.state}{value}{part}"
    )


def _what_next(current: CurrentStudy, root: Path) -> str:
    target = current.search.target
    wanted = num_wanted(trial_records(current.study))
    if target is not None and wanted > target:
        return (
            f"search.trials={target} leaves no room for it: run `dvc exp run -S "
            f"search.trials={wanted}`, or write that into params.yaml and run `dvc repro`."
        )
    holder = read_holder(root, current.study.study_name, current.search.storage)
    if holder is not None and holder.is_alive:
        return (
            f"Process {holder.pid} is at work on this study; a search takes it before it samples "
            "more."
        )
    if target is None:
        given = {"budget": read_budget(), "search.timeout": current.search.timeout}
        limits = " and ".join(name for name, seconds in given.items() if seconds is not None)
        return f"The next `dvc repro` with a larger {limits} takes it before it samples more."
    return "The next `dvc repro` takes it before it samples more."
