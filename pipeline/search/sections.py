"""The sections `search` and `confirm` of `params.yaml`, which all studies share."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from pipeline.config import Section
from pipeline.database_addresses import storage_problem
from pipeline.durations import AutoDuration, Duration
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.processes import num_cores
from pipeline.registry import unknown_name
from pipeline.search.candidates import MOST_CANDIDATES, MOST_SEEDS, MOST_SEEDS_IN_TIME
from pipeline.search.pruners import Pruner
from pipeline.search.rungs import REDUCTION
from pipeline.search.samplers import SAMPLERS, rungs_problem

AUTO: Final = "auto"
DIAGNOSE_SHARE: Final = 0.15
"""Of the budget, that the diagnoses of all studies take together, after it."""
LEAST_SECONDS: Final = 30.0
"""Of a diagnosis: what its first trainings take, and the import of TensorFlow before them."""
EPOCHS: Final = 10
MOST_RUNGS: Final = 5
LEAST_SEEN: Final = 8192
"""Images, one counted as often as it is seen, that the lowest rung trains on: 64 steps of 128."""


class RayParams(Section):
    """Section `search.ray`: used where `search.executor` is ray."""

    address: str = Field(min_length=1, description="local, auto, or the address of a cluster")
    num_cpus: float = Field(gt=0, description="cores that each trial takes")
    num_gpus: float = Field(ge=0, description="GPUs that each trial takes; 0.5: two share one")


class SearchParams(Section):
    """Section `search`: what all studies share."""

    trials: Literal["auto"] | int = Field(
        description="configurations wanted in each study; a target, or auto: what `budget` leaves "
        "time for"
    )
    rungs: Literal["auto"] | int = Field(
        default=1,
        description="1: each trial is a whole training; 2: each configuration is tried by a third "
        "of one, and the best third goes on to a whole one; 3: by a ninth, and so forth; auto: as "
        "many as leave the lowest steps enough to tell configurations apart",
    )
    epochs: Literal["auto"] | int = Field(
        description="most epochs of a whole training; auto: what the plan has time for"
    )
    objective: str
    timeout: Duration = Field(description="of the whole stage: it ends by then plus one epoch")
    trial_timeout: Duration = Field(description="of one trial, which is killed and tried again")
    duplicates: Literal["reuse", "replicate"]
    executor: Literal["local", "ray"]
    workers: Literal["auto"] | int
    ray: RayParams = Field(description="used where executor is ray")
    storage: str = Field(min_length=1, description="auto, or the URL of a database")
    max_retries: int = Field(ge=0)
    max_failures: int = Field(ge=1)
    seed: int = Field(
        ge=0, description="root of every draw: of the sampler, and of each trial's training"
    )
    sampler: str
    learning_rate_probe: bool = Field(
        default=False,
        description="whether a search first finds the largest learning rate that trains, dividing "
        "by 3, and looks no higher; some seconds",
    )
    pruner: Pruner

    @model_validator(mode="after")
    def _names_exist(self) -> "SearchParams":
        problems = []
        if self.objective not in OBJECTIVES:
            problems.append(unknown_name("objective", self.objective, list(OBJECTIVES)))
        if self.sampler not in set(SAMPLERS):
            problems.append(unknown_name("sampler", self.sampler, list(SAMPLERS)))
        for name in ("trials", "workers", "epochs", "rungs"):
            count = getattr(self, name)
            if count != "auto" and count < 1:
                problems.append(f"{name} must be auto or at least 1. Received: {count}.")
        if self.rungs != "auto" and self.rungs > MOST_RUNGS:
            problems.append(f"rungs must be at most {MOST_RUNGS}. Received: {self.rungs}.")
        problem = storage_problem(self.storage)
        if problem is not None:
            problems.append(f"storage {problem}")
        if problems:
            raise ValueError(" ".join(problems))
        return self

    @model_validator(mode="after")
    def _fit_rungs(self) -> "SearchParams":
        problem = None if self.rungs == "auto" else self._problem_of(self.rungs)
        if problem:
            raise ValueError(problem)
        return self

    def _problem_of(self, num_rungs: int) -> str | None:
        if self.pruner.name == "hyperband" and num_rungs > 1:
            return (
                "pruner hyperband has rungs of its own, of epochs alone. Received: "
                f"rungs={num_rungs}. Set search.rungs to 1, or choose another pruner."
            )
        return rungs_problem(self.sampler, num_rungs)

    @property
    def target(self) -> int | None:
        """Configurations wanted in each study; None: as many as there is time for."""
        return None if self.trials == "auto" else self.trials

    @property
    def num_epochs(self) -> int:
        """Most epochs of a whole training; of `auto` those that are usual without a plan."""
        return EPOCHS if self.epochs == "auto" else self.epochs

    @property
    def num_rungs(self) -> int:
        """Rungs of successive halving, >= 1; of `auto` those of a large training part."""
        if self.rungs != "auto":
            return self.rungs
        return 1 if self._problem_of(MOST_RUNGS) else MOST_RUNGS

    def settled(self, *, epochs: int | None, num_train: int, images_per_epoch: int) -> Self:
        """Returns the section with a number for each `auto` that depends on a study.

        Args:
            epochs: That the plan has time for, for the study's base; None: there is no plan of it.
            num_train: Images of the training part, and their views where trials train on them.
            images_per_epoch: That an epoch goes over at least, the training part several times.
        """
        whole = self.with_epochs(epochs)
        seen = whole.num_epochs * max(num_train, images_per_epoch)
        rungs = whole.num_rungs
        while self.rungs == "auto" and rungs > 1 and seen < LEAST_SEEN * REDUCTION ** (rungs - 1):
            rungs -= 1
        return whole.model_copy(update={"rungs": rungs})

    def with_epochs(self, planned: int | None) -> Self:
        """Returns the section with a number of epochs; see `settled`."""
        is_left = self.epochs == "auto" and planned is not None
        return self.model_copy(update={"epochs": planned if is_left else self.num_epochs})

    @property
    def num_workers(self) -> int:
        """Worker processes: the cores this process may use, unless a number is given."""
        return num_cores() if self.workers == "auto" else self.workers


class DiagnoseParams(Section):
    """Section `diagnose`: what limits the winners."""

    time: AutoDuration = Field(
        description="wall clock that the trainings of a study's diagnosis may take; auto: the "
        "study's part of 15% of `budget`; none: nothing is trained"
    )

    def seconds(self, budget_seconds: float | None, share: float) -> float | None:
        """Returns how long the diagnosis of a study may train; None: not at all.

        Args:
            budget_seconds: Of `budget`; None where there is none.
            share: The study's, of what all studies may take together, in (0, 1].
        """
        if self.time != AUTO:
            return self.time
        return max(LEAST_SECONDS, share * DIAGNOSE_SHARE * (budget_seconds or 0.0))


class ConfirmParams(Section):
    """Section `confirm`: how the best trials are judged again."""

    top: Literal["auto"] | int = Field(
        description="trials that are trained again; auto: at most 5, as `budget` leaves time for"
    )
    seeds: Literal["auto"] | int = Field(
        description="trainings of each, with seeds no search has used; auto: at most 6, likewise, "
        "and 3 without a budget"
    )
    export: Literal["auto", "ensemble", "best_seed"] = Field(
        description="trainings averaged, or one of the winner's alone; auto: averaged if that pays"
    )
    max_slowdown: float = Field(
        default=2.0,
        ge=1,
        description="most times as long as one network that an ensemble may take, of auto",
    )

    @model_validator(mode="after")
    def _are_counts(self) -> "ConfirmParams":
        for name in ("top", "seeds"):
            count = getattr(self, name)
            if count != "auto" and count < 1:
                raise ValueError(f"{name} must be auto or at least 1. Received: {count}.")
        return self

    @property
    def is_timed(self) -> bool:
        """Whether the time that is left decides what is trained."""
        return "auto" in (self.top, self.seeds)

    @property
    def is_diverse(self) -> bool:
        """Whether what is confirmed may be averaged, so that different cuts help."""
        return self.export != "best_seed"

    @property
    def most_candidates(self) -> int:
        """Trials that are trained again, if there is time."""
        return MOST_CANDIDATES if self.top == "auto" else self.top

    def most_seeds(self, *, is_limited: bool) -> int:
        """Returns the trainings of each, if there is time.

        Args:
            is_limited: Whether the confirmation has a time to end at.
        """
        if self.seeds != "auto":
            return self.seeds
        return MOST_SEEDS_IN_TIME if is_limited else MOST_SEEDS
