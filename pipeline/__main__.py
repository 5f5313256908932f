"""Command line: python -m pipeline STAGE or COMMAND.

A file in `pipeline/stages/` is a stage and a file in `pipeline/commands/` a command; their names
there, in `dvc.yaml` and here are the same. Exit codes: 0 done, 2 the user can fix it, 1 a bug or a
failed check, 130 and 143 after SIGINT and SIGTERM.
"""

import argparse
import ast
import importlib
import logging
import os
import pkgutil
import signal
import sys
from pathlib import Path

from pipeline import commands, stages
from pipeline.errors import PipelineError
from pipeline.processes import die_with_parent, listen

STAGES = sorted(module.name for module in pkgutil.iter_modules(stages.__path__))
COMMANDS = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
STAGES_OF_A_STUDY = ("search", "confirm", "diagnose")
# Both tools report home unless told otherwise, before they are imported.
PRIVACY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}


# What SQLite opens below a checkout.
LONGEST_FILE = "mlruns/optuna.db"


def _first_line(package: str, name: str) -> str:
    # Read, not imported: `--help` needs no library.
    file = Path(__file__).parent / package / f"{name}.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _parser(name: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__.split(".")[0])
    subparsers = parser.add_subparsers(dest="name", required=True, metavar="STAGE or COMMAND")
    for stage in STAGES:
        subparser = subparsers.add_parser(stage, help=_first_line("stages", stage))
        subparser.add_argument(
            "--quiet", action="store_true", help="print only warnings, errors and the last line"
        )
        if stage in STAGES_OF_A_STUDY:
            subparser.add_argument("study", help="its name below `studies` in params.yaml")
        if stage == "plan":
            subparser.add_argument(
                "--dry-run", action="store_true", help="print what would be chosen, write nothing"
            )
    for command in COMMANDS:
        subparser = subparsers.add_parser(command, help=_first_line("commands", command))
        if command == name:
            importlib.import_module(f"pipeline.commands.{command}").add_arguments(subparser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.name in COMMANDS:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
        return int(importlib.import_module(f"pipeline.commands.{arguments.name}").main(arguments))
    _run_stage(arguments)
    return 0


def _run_stage(arguments: argparse.Namespace) -> None:
    # Here, since `--help` and the commands need none of what it imports.
    from pipeline.console import at_work

    main_of_stage = importlib.import_module(f"pipeline.stages.{arguments.name}").main
    name = arguments.name
    if name in STAGES_OF_A_STUDY:
        with at_work(f"{name}@{arguments.study}", Path.cwd(), is_quiet=arguments.quiet):
            main_of_stage(arguments.study)
    elif name == "plan" and arguments.dry_run:
        # Of another name, since it is no stage of the run.
        with at_work("plan --dry-run", Path.cwd(), is_quiet=arguments.quiet):
            main_of_stage(dry_run=True)
    else:
        with at_work(name, Path.cwd(), is_quiet=arguments.quiet):
            main_of_stage()


def main(argv: list[str] | None = None) -> int:
    """Runs one stage or command; returns its exit code."""
    os.environ.update({name: os.environ.get(name, value) for name, value in PRIVACY.items()})
    given = sys.argv[1:] if argv is None else argv
    arguments = _parser(given[0] if given else None).parse_args(given)
    listen()
    if "DVC_STAGE" in os.environ:
        # A killed `dvc repro` leaves its stage running, and the next one would start a second.
        die_with_parent(signal.SIGTERM)
    try:
        # Before anything is written: below such a folder no store can be opened.
        importlib.import_module("pipeline.database_addresses").check_path(Path.cwd() / LONGEST_FILE)
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read what was printed has seen enough, such as `head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A stage is not done.
        return 0 if arguments.name in COMMANDS else 1
    except PipelineError as error:
        print(f"{arguments.name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{arguments.name}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
