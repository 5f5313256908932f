"""The section `embed` of `params.yaml`. Beside the stage, since the command `cuts` reads it too."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.config import Section
from pipeline.errors import ConfigError
from pipeline.features.memory import BatchSize
from pipeline.models.base_choice import BaseChoice, check_choice
from pipeline.models.pooling import Pooling
from pipeline.models.views import ViewsParams


class BaseParams(Section):
    """Section `embed.bases.NAME`: one base."""

    image_size: int = Field(ge=1, le=1024, description="what images are resized to, pixels")
    cuts: Literal["auto"] | list[str] = Field(description="auto, or layers of the base")
    model: str | None = Field(
        default=None, description="the base's name if it is not NAME, a .keras file, or models:/..."
    )
    weights: str | None = Field(default=None, description="imagenet, random, or a file")
    alpha: float | None = Field(default=None, gt=0, description="width, where the family has it")
    input_range: list[float] | None = Field(
        default=None, description="what a user's own model takes for black and white"
    )
    views: ViewsParams = Field(
        default_factory=ViewsParams, description="further versions of the training images"
    )
    pooling: dict[str, Pooling] = Field(
        default_factory=dict, description="of cuts that cuts lists: none, average, global"
    )

    @field_validator("cuts")
    @classmethod
    def _are_different(cls, cuts: str | list[str]) -> str | list[str]:
        if isinstance(cuts, list) and (not cuts or len(set(cuts)) < len(cuts)):
            raise ValueError("must be auto, or a list of different layers, at least one")
        return cuts

    @field_validator("input_range")
    @classmethod
    def _rises(cls, input_range: list[float] | None) -> list[float] | None:
        if input_range is not None and (len(input_range) != 2 or input_range[0] >= input_range[1]):
            raise ValueError("must be two numbers, black's below white's, such as [0, 1]")
        return input_range

    def choice(self, name: str) -> BaseChoice:
        """Returns what this entry means under its name."""
        return BaseChoice(
            name=name,
            model=self.model or name,
            image_size=self.image_size,
            weights=self.weights,
            alpha=self.alpha,
            input_range=self.input_range,
        )

    @model_validator(mode="after")
    def _pools_what_is_kept(self) -> Self:
        listed = [] if self.cuts == "auto" else self.cuts
        strays = [name for name in self.pooling if name not in listed]
        if strays:
            raise ValueError(
                f"pooling must name layers that cuts lists. Received: {', '.join(strays)} beside "
                f"cuts={self.cuts!r}"
            )
        return self


class EmbedParams(Section):
    """Section `embed`: which bases run over the images, and what is kept of them."""

    bases: dict[str, BaseParams] = Field(description="by name; none is always there")
    pixels_size: int = Field(ge=8, le=512, description="most that `none` shows, pixels")
    batch_size: BatchSize = Field(description="images at a time")
    max_bytes: int = Field(ge=1, description="of all arrays of one base")

    @field_validator("bases")
    @classmethod
    def _exist(cls, bases: dict[str, BaseParams]) -> dict[str, BaseParams]:
        problems = []
        for name, base in bases.items():
            try:
                check_choice(base.choice(name))
            except ConfigError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise ValueError(" ".join(problems))
        return bases
