"""The section `plan` of `params.yaml`."""

from pydantic import Field, field_validator

from pipeline.bases.table import BASES
from pipeline.config import Section
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
