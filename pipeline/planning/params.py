"""The section `plan` of `params.yaml`, and the key `budget`."""

from pydantic import Field, field_validator

from pipeline.bases.table import BASES
from pipeline.config import Section, read_document
from pipeline.durations import duration_seconds
from pipeline.errors import ConfigError
from pipeline.registry import unknown_name


class PlanParams(Section):
    """Section `plan`: what the stage chooses among, and how closely it looks."""

    models: list[str] = Field(min_length=1, description="bases that `model: auto` may become")
    image_sizes: list[int] = Field(min_length=1, description="that `image_size: auto` may become")
    num_images: int = Field(ge=50, description="of the training part, most that a probe looks at")
    seed: int = Field(ge=0, description="of the sample")

    @field_validator("models")
    @classmethod
    def _are_known(cls, models: list[str]) -> list[str]:
        for model in models:
            if model not in BASES:
                raise ValueError(unknown_name("base", model, list(BASES)).partition(" Choose")[0])
        return models

    @field_validator("image_sizes")
    @classmethod
    def _rise(cls, sizes: list[int]) -> list[int]:
        if sizes != sorted(set(sizes)) or not 8 <= sizes[0] <= sizes[-1] <= 1024:
            raise ValueError("must be different sizes from 8 to 1024 pixels, the smallest first")
        return sizes


def read_budget() -> float:
    """Returns the seconds of `budget` in params.yaml.

    Raises:
        ConfigError: If it is missing, or no duration.
    """
    budget = read_document().get("budget")
    try:
        return _budget_seconds(budget)
    except ValueError as error:
        raise ConfigError(f"params.yaml cannot be used:\n  budget: {error}.") from None


def budget_problem(budget: object) -> str | None:
    """Says what is wrong with `budget`, or None."""
    try:
        _budget_seconds(budget)
    except ValueError as error:
        return f"{error}."
    return None


def _budget_seconds(budget: object) -> float:
    need = "must be a duration such as 90s, 10m or 2h"
    try:
        seconds = duration_seconds(budget)
    except ValueError:
        seconds = None
    if seconds is None:
        raise ValueError(f"{need}. Received: {budget!r}")
    return seconds
