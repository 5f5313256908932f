"""The section `embed` of `params.yaml`. Beside the stage, since the command `cuts` reads it too."""

from typing import Literal

from pydantic import Field, field_validator

from pipeline.config import Section
from pipeline.errors import ConfigError
from pipeline.models.bases import check_base


class BaseParams(Section):
    """Section `embed.bases.NAME`: one base."""

    image_size: int = Field(ge=1, le=1024, description="what images are resized to, pixels")
    cuts: Literal["auto"] | list[str] = Field(description="auto, or layers of the base")

    @field_validator("cuts")
    @classmethod
    def _are_different(cls, cuts: str | list[str]) -> str | list[str]:
        if isinstance(cuts, list) and (not cuts or len(set(cuts)) < len(cuts)):
            raise ValueError("must be auto, or a list of different layers, at least one")
        return cuts


class EmbedParams(Section):
    """Section `embed`: which bases run over the images, and what is kept of them."""

    bases: dict[str, BaseParams] = Field(description="by name; none is always there")
    batch_size: int = Field(ge=1, description="images at a time")
    max_bytes: int = Field(ge=1, description="of all arrays of one base")

    @field_validator("bases")
    @classmethod
    def _exist(cls, bases: dict[str, BaseParams]) -> dict[str, BaseParams]:
        problems = []
        for name, base in bases.items():
            try:
                check_base(name, image_size=base.image_size)
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            raise ValueError(" ".join(problems))
        return bases
