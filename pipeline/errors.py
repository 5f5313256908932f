"""Errors that are part of the interface.

`__main__` prints a `PipelineError` as one line and exits with 2: the user can fix it. Everything
else is a bug and keeps its traceback.
"""


class PipelineError(Exception):
    """Base of every error that a user can fix."""


class ConfigError(PipelineError, ValueError):
    """A value of `params.yaml`, of the command line or of the environment cannot be used."""


class DataIntegrityError(PipelineError):
    """A file is not what it should be: wrong hash, cut short, unreadable, or impossible values."""


class SourceError(PipelineError):
    """A file could be had from none of its sources; the message names each failure."""


class StudyError(PipelineError):
    """A study cannot be opened, continued or finished."""


class InfeasibleTrialError(PipelineError):
    """These hyperparameters cannot be trained; the trial fails, the study goes on."""
