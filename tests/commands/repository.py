"""A small repository with two studies, whose trials take no time: no network is trained.

Stores, spaces, stages and commands are the real ones; the features are a manifest without arrays.
"""

import argparse
import copy
import importlib
import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict

import numpy as np

from pipeline.config import load_section
from pipeline.files import sha256_file
from pipeline.records.storage import open_storage
from pipeline.records.studies import find_study, open_study, study_attrs, trial_records
from pipeline.search.candidates import candidates
from pipeline.search.confirmation import EXPORT_RULES
from pipeline.search.proposals import Proposals
from pipeline.search.queue import enqueue_missing, retire
from pipeline.search.sections import ConfirmParams
from pipeline.stages.confirm import CODE
from pipeline.studies.described import describe
from pipeline.trials.confirmation import write_confirmation
from pipeline.trials.identity import code_sha256
from pipeline.trials.record import Epoch
from pipeline.trials.study import read_study
from pipeline.workspace import confirmed_answers_file
from testing import features
from testing.forks import Fork
from testing.records import made_candidate, made_confirmation, made_training
from testing.split import split_record

SPACE = {
    "units": {"type": "int", "low": 16, "high": 64},
    "activation": {"type": "choice", "choices": ["relu", "selu"]},
    "learning_rate": {"type": "float", "low": 0.0001, "high": 1.0, "log": True},
    "clipping": {"type": "choice", "choices": ["none", "clipvalue"]},
    "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
    "early_stopping": "none",
}


class Repository:
    """The working directory of a command.

    Args:
        folder: Empty.
        document: The project's own params.yaml, of which the studies and the search are changed.
    """

    def __init__(self, folder, document):
        self.folder = folder
        self.document = copy.deepcopy(document)
        study = {"base": "none", "space": SPACE, "enqueue": []}
        self.document["studies"] = {name: copy.deepcopy(study) for name in ("tiny", "other")}
        self.document["confirm"].update({"top": 3, "seeds": 3})
        self.set(trials=3, rungs=1, epochs=2, workers=1, sampler="random", pruner={"name": "none"})
        self.write("data/split.json", self.split())
        features.write_cuts(folder / "data/features/none")

    @staticmethod
    def split():
        return asdict(split_record())

    def set(self, **search):
        """Changes the section `search`."""
        self.document["search"].update(search)
        self.write("params.yaml", self.document)

    def write(self, name, content):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content), encoding="utf-8")
        return file

    def read(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def study(self, name="tiny"):
        """Opens a study as its stage does."""
        described = describe(name, root=self.folder)
        dataset = self.read("data/split.json")["dataset"]
        study = open_study(
            open_storage(self.folder),
            retire=retire,
            name=described.study_name,
            identity=described.identity,
            direction="maximize",
            attrs=study_attrs(
                self.folder, dataset=dataset, objective="val_accuracy", exported=None
            ),
        )
        enqueue_missing(study, described.params.enqueue)
        return study

    def ask(self, study, name="tiny"):
        """Asks a study for its next trial, as the driver does."""
        described = describe(name, root=self.folder)
        params = described.search.model_copy(
            update={"sampler": "random", "seed": 1, "trials": 10, "duplicates": "replicate"}
        )
        return Proposals(study, described.space, params).ask()

    def train(self, study, values=(0.5, 0.75), state="COMPLETE", **attrs):
        """Takes the next trial to its end, with attributes that it has beside its own."""
        import optuna

        proposal = self.ask(study)
        epochs = []
        for epoch, value in enumerate(values):
            proposal.trial.report(value, epoch)
            epochs.append({"epoch": epoch, "metrics": {"val_accuracy": value}, "at_ms": 1000})
        for name, content in {"epochs": epochs, **attrs}.items():
            proposal.trial.set_user_attr(name, content)
        told = values[-1] if state == "COMPLETE" else None
        study.tell(proposal.trial, told, state=optuna.trial.TrialState[state])
        return trial_records(study)[proposal.trial.number]

    def confirm(self, name="tiny"):
        """Writes what `confirm` puts out, with trainings that nobody did."""
        described = describe(name, root=self.folder)
        params = load_section(ConfirmParams, "confirm", self.folder / "params.yaml")
        study = read_study(self.folder, name)
        planned = candidates(
            study,
            top=params.top,
            seeds=params.seeds,
            epochs=described.search.epochs,
            root_seed=described.search.seed,
            folder="",
            is_diverse=params.is_diverse,
        )
        model = self.folder / "models" / f"{name}.keras"
        model.parent.mkdir(exist_ok=True)
        model.write_bytes(b"weights of " + name.encode())
        answers = confirmed_answers_file(self.folder, name)
        np.save(answers, np.zeros((params.seeds, 1, 2)))
        tried = [
            made_candidate(c.trial.number, hyperparameters=c.trial.hyperparameters) for c in planned
        ]
        record = made_confirmation(
            tried[0],
            candidates=tried,
            **{key: getattr(study, key) for key in ("study", "study_name", "identity", "dataset")},
            **{"top": params.top, "seeds": params.seeds, "epochs": described.search.epochs},
            code_sha256=code_sha256(*CODE),
            exported={
                "answers_sha256": sha256_file(answers),
                "file": f"models/{name}.keras",
                "file_sha256": sha256_file(model),
                "rule": EXPORT_RULES[params.export],
            },
            trainings=[self._training(c.trial.number, spec) for c in planned for spec in c.specs],
        )
        write_confirmation(self.folder, record)
        return record

    @staticmethod
    def _training(number, spec):
        metrics = {"val_accuracy": 0.5, "loss": 1.25}
        return made_training(
            spec.uid,
            number=number,
            seed=spec.seed,
            metrics={**metrics, "confirmation_accuracy": 0.75, "num_epochs": 2.0},
            epochs=[Epoch(epoch=e, metrics=metrics, at_ms=2000 + e) for e in range(2)],
        )

    def run_alone(self, command):
        """Runs a command in a process of its own; returns its exit code."""
        return self._fork("pipeline", command).wait()

    def start_search(self, name="tiny"):
        """Starts the real stage, with trainings that take no time, in a process of its own."""
        return self._fork("testing.faults", "none", "SIGKILL", "search", name)

    def _fork(self, module, *arguments):
        return Fork(module, arguments, folder=self.folder, environment={**os.environ})

    def wait_for_trials(self, count, search):
        """Waits until a search that was started has so many trials, of any state."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert search.poll() is None, search.communicate()[0]
            try:
                # Not with Optuna, which would create the tables that the search is creating.
                with closing(sqlite3.connect(self.folder / "mlruns/optuna.db")) as connection:
                    (found,) = connection.execute("select count(*) from trials").fetchone()
                if found >= count:
                    return
            except sqlite3.OperationalError:
                pass
            time.sleep(0.05)
        raise AssertionError("the search did not begin")

    def search(self, name="tiny"):
        """Runs the real stage to its end."""
        process = self.start_search(name)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return output


def read_trials(folder, study_name):
    """Returns the trials of a study of the store."""
    return trial_records(find_study(open_storage(folder), study_name))


def run(command, *arguments):
    """Runs a command in this process; returns its exit code."""
    module = importlib.import_module(f"pipeline.commands.{command}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.main(parser.parse_args([str(argument) for argument in arguments]))
