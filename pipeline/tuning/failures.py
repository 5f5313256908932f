"""When a search gives up: after so many trials in a row that failed."""

from collections import Counter

from pipeline.errors import StudyError


class FailureStreak:
    """Counts trials that failed one after another.

    Args:
        limit: That many end the search, >= 1.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reasons: list[str] = []

    def clear(self) -> None:
        """Takes note of a trial that did not fail."""
        self._reasons.clear()

    def add(self, reason: str, *, has_traceback: bool) -> None:
        """Takes note of a trial that failed.

        Raises:
            StudyError: If it was one too many; the message holds their common cause.
        """
        self._reasons.append(reason)
        if len(self._reasons) < self._limit:
            return
        (cause, count), *_ = Counter(self._reasons).most_common()
        which = "all" if count == len(self._reasons) else f"{count} of them"
        where = " (its traceback is an artifact of the trial's MLflow run)" if has_traceback else ""
        raise StudyError(
            f"{len(self._reasons)} trials failed in a row, {which} with: {cause}{where}."
        )
