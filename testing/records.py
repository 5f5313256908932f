"""Records as the stages would make them; what is not told is made up."""

from dataclasses import fields

from pipeline.trials.candidate import CandidateRecord
from pipeline.trials.confirmation import ConfirmationRecord, TrainingRecord
from pipeline.trials.exported import ExportRecord, MemberRecord
from pipeline.trials.record import TrialRecord
from pipeline.trials.registration import RegistrationRecord
from pipeline.trials.study import StudyRecord

EVIDENCE = {"objective": "val_accuracy", "mean": 0.94, "low": 0.93, "high": 0.95}


def made_trial(number=0, state="COMPLETE", value=None, **told):
    """Returns a trial; what a `TrialRecord` has no field for becomes an attribute."""
    known = {own.name for own in fields(TrialRecord)}
    noted = {name: told.pop(name) for name in list(told) if name not in known}
    attributes = {**told.pop("attributes", {}), **noted}
    return TrialRecord(number=number, state=state, value=value, attributes=attributes, **told)


def made_study(*trials, objective="val_accuracy", **told):
    """Returns a study of some trials; of one complete trial where none is given."""
    direction = "minimize" if objective == "val_log_loss" else "maximize"
    known = {
        **{"study_name": "digits-tiny", "study": "tiny", "dataset": "digits", "target": 1},
        **{"identity": "a" * 64, "study_uid": "a" * 32, "direction": direction},
    }
    trials = trials or (made_trial(value=0.5),)
    return StudyRecord(**{**known, "objective": objective, "trials": trials, **told})


def made_training(uid="trial", **told):
    """Returns a training of `confirm`."""
    known = {
        **{"number": 0, "seed": 1, "attempt": 0, "outcome": "complete", "value": 0.5},
        **{"metrics": {}, "epochs": [], "start_ms": 1000, "end_ms": 9000},
    }
    return TrainingRecord(uid=uid, **{**known, **told})


def made_candidate(number=0, mean=0.5, num_seeds=2, **told):
    """Returns what a configuration reached; each training the same unless told."""
    values = [mean] * num_seeds
    known = {
        **{"hyperparameters": {}, "search_value": mean, "values": values, "mean": mean},
        **{"std": 0.001, "low": mean - 0.004, "high": mean + 0.004, "num_seeds": num_seeds},
    }
    return CandidateRecord(number=number, **{**known, "seeds": list(range(num_seeds)), **told})


def made_confirmation(candidate=None, *, members=(), exported=None, n=20, metrics=None, **told):
    """Returns a confirmation that a candidate wins.

    Args:
        candidate: The winner, and unless `candidates` are told the only one.
        members: Number and seed of each training in the exported model.
        exported: Fields of its `ExportRecord`.
        n: Images of the confirmation part.
        metrics: The exported model's.
        told: Further fields.
    """
    candidate = candidate or made_candidate()
    known = {
        **{"study": "tiny", "study_name": "digits-tiny", "dataset": "digits"},
        **{"objective": "val_accuracy", "base": "none", "part": "confirmation"},
        "candidates": [candidate],
    }
    own = [MemberRecord(number=number, seed=seed) for number, seed in members]
    file = {"file": "models/tiny.keras", "rule": "the only one", "members": own}
    return ConfirmationRecord(
        **{**known, **told},
        n=n,
        winner_number=candidate.number,
        metrics=metrics or {},
        exported=ExportRecord(**{**file, **(exported or {})}),
    )


def made_registration(**told):
    """Returns a registered version that is champion."""
    known = {
        **{"registered_model": "digits-classifier", "version": "1", "study": "tiny"},
        **{"registered": True, "champion": True, "reason": "there was no champion before"},
        **{"weights_sha256": "ab" * 32, "confirmation": {**EVIDENCE, "n": 20, "num_seeds": 2}},
    }
    return RegistrationRecord(**{**known, **told})
