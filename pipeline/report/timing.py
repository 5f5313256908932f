"""Where the time of the studies went, from when their trainings began and ended."""

from collections.abc import Sequence

from pipeline.report.inputs import StudyResults
from pipeline.report.text import DASH, duration
from pipeline.trials.outlook import wall_seconds
from pipeline.trials.ranking import num_finished
from pipeline.trials.record import TrialRecord

TIME_COLUMNS = ("Study", "Search", "Over workers", "Configurations", "Confirmation", "Trainings")


def seconds_of(study: StudyResults) -> tuple[float, float]:
    """Returns the wall-clock seconds in which its search and its confirmation trained.

    The second is 0 where an early release did not note its trainings.
    """
    return wall_seconds(study.search.trials), wall_seconds(study.confirm.trials)


def seconds_of_all(studies: Sequence[StudyResults]) -> tuple[float, float]:
    """Returns the sums of `seconds_of`; the stages of studies run one after another."""
    found = [seconds_of(study) for study in studies]
    return sum(search for search, _ in found), sum(confirm for _, confirm in found)


def time_rows(studies: Sequence[StudyResults]) -> list[list[str]]:
    """Returns a row of texts for each study, as `TIME_COLUMNS`."""
    return [
        [
            study.name,
            duration(search),
            duration(_over_workers(study.search.trials)),
            str(num_finished(study.search.trials)),
            duration(confirm) if confirm else DASH,
            str(study.confirm.num_trainings),
        ]
        for study in studies
        for search, confirm in [seconds_of(study)]
    ]


def _over_workers(trials: Sequence[TrialRecord]) -> float:
    return sum(trial.seconds or 0.0 for trial in trials)
