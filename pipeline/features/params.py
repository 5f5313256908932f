"""The section `embed` of `params.yaml`. Beside the stage, since the command `cuts` reads it too."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from pipeline.bases.choice import BaseChoice, check_choice
from pipeline.bases.cuts import POOLED
from pipeline.bases.table import BASES
from pipeline.config import BatchSize, Section
from pipeline.errors import ConfigError
from pipeline.features.joined_cuts import cut_name, is_layer, layers_named
from pipeline.features.pooling import Pooling
from pipeline.features.view_params import ViewsParams

# A folder a base, with an array a cut.
FEATURES: Final = Path("data/features")

AUTO: Final = "auto"
MOST_PIXELS: Final = 1024
OPEN: Final = {"model": AUTO, "image_size": AUTO, "cuts": AUTO, "views": AUTO}
"""An entry of which all is chosen by the stage `plan`."""

MAX_NAME: Final = 200


def _kind_of_views(written: object) -> str:
    return "[auto]" if written == AUTO else "[views]"


Views = Annotated[
    Annotated[Literal["auto"], Tag("[auto]")] | Annotated[ViewsParams, Tag("[views]")],
    Discriminator(_kind_of_views),
]
"""`auto` or a section, whose problems are those of a section alone."""


class BaseParams(Section):
    """Section `embed.bases.NAME`: one base. What is `auto` is chosen by the stage `plan`."""

    image_size: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_PIXELS)] = Field(
        description="what images are resized to, pixels, or auto"
    )
    cuts: Literal["auto"] | list[str] = Field(
        description="auto, or layers of the base; a list of them: side by side, as one cut"
    )
    model: str | None = Field(
        default=None,
        description="the base's name if it is not NAME, a .keras file, models:/..., or auto",
    )
    weights: str | None = Field(default=None, description="imagenet, random, or a file")
    alpha: float | None = Field(default=None, gt=0, description="width, where the family has it")
    input_range: list[float] | None = Field(
        default=None, description="what a user's own model takes for black and white"
    )
    views: Views = Field(
        default_factory=ViewsParams, description="further versions of the training images, or auto"
    )
    starts: list[str] | None = Field(
        default=None,
        description="further layers, kept only for phase 2 to start from; no head stands on them",
    )
    pooling: dict[str, Pooling] = Field(
        default_factory=dict, description="of layers that cuts lists: none, average, grid4, ..."
    )

    @field_validator("cuts", mode="before")
    @classmethod
    def _name_lists(cls, cuts: object) -> object:
        return [cut_name(cut) for cut in cuts] if isinstance(cuts, list) else cuts

    @field_validator("cuts")
    @classmethod
    def _are_different(cls, cuts: str | list[str]) -> str | list[str]:
        if isinstance(cuts, str):
            return cuts
        # In another order a head learns the same.
        if not cuts or len({frozenset(layers_named(name)) for name in cuts}) < len(cuts):
            raise ValueError("must be auto, or a list of different layers, at least one")
        if too_long := [name for name in cuts if len(name) > MAX_NAME]:
            raise ValueError(
                f"must be names of at most {MAX_NAME} characters, which those of files are made "
                f"of. Received: {too_long[0]}"
            )
        return cuts

    @field_validator("input_range")
    @classmethod
    def _rises(cls, input_range: list[float] | None) -> list[float] | None:
        if input_range is not None and (len(input_range) != 2 or input_range[0] >= input_range[1]):
            raise ValueError("must be two numbers, black's below white's, such as [0, 1]")
        return input_range

    @property
    def is_open(self) -> bool:
        """Whether something is left for the stage `plan` to choose."""
        return AUTO in (self.model, self.image_size, self.cuts, self.views)

    @property
    def layers(self) -> list[str] | None:
        """Every layer that the cuts name; None where the stage `plan` is to choose."""
        if isinstance(self.cuts, str):
            return None
        return [layer for name in self.cuts for layer, _ in layers_named(name)]

    @property
    def names_kept(self) -> list[str]:
        """The cuts that are named, and after them those that phase 2 alone starts from."""
        return [] if isinstance(self.cuts, str) else [*self.cuts, *(self.starts or [])]

    @property
    def views_wanted(self) -> ViewsParams:
        """The views; where the stage `plan` is to choose, those that it may choose."""
        return ViewsParams(hflip=True) if isinstance(self.views, str) else self.views

    def choice(self, name: str) -> BaseChoice:
        """Returns what this entry means under its name.

        Raises:
            ConfigError: If the base or its image size is left open.
        """
        if self.model == AUTO or isinstance(self.image_size, str):
            raise ConfigError(
                f"embed.bases.{name} leaves its model or image_size to the stage `plan`, which has "
                "not run for it. Run `dvc repro plan`, or name a base."
            )
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
        listed = [] if self.cuts == "auto" else [name for name in self.cuts if is_layer(name)]
        strays = [name for name in self.pooling if name not in listed]
        if strays:
            raise ValueError(
                f"pooling must name layers that cuts lists. Received: {', '.join(strays)} beside "
                f"cuts={self.cuts!r}. In a list each says its own, as in [a{POOLED}grid4, b]"
            )
        return self


class EmbedParams(Section):
    """Section `embed`: which bases run over the images, and what is kept of them."""

    bases: dict[str, BaseParams] = Field(description="by name; none is always there")
    pixels_size: int = Field(ge=8, le=512, description="most that `none` shows, pixels")
    batch_size: BatchSize = Field(description="images at a time")
    max_bytes: int = Field(ge=1, description="of all arrays of one base")

    @field_validator("bases", mode="before")
    @classmethod
    def _may_be_left_open(cls, bases: object) -> object:
        return {AUTO: OPEN} if bases == AUTO else bases

    @field_validator("bases")
    @classmethod
    def _exist(cls, bases: dict[str, BaseParams]) -> dict[str, BaseParams]:
        problems = []
        for name, base in bases.items():
            try:
                check_open(name, base)
            except ConfigError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise ValueError(" ".join(problems))
        return bases


def check_open(name: str, base: BaseParams) -> None:
    """Refuses an entry that cannot be a base, whatever becomes of what it leaves open.

    Raises:
        ConfigError: Naming what must hold.
    """
    if base.cuts == AUTO and base.starts is not None:
        raise ConfigError("starts must be left out where cuts is auto: the plan chooses both.")
    if base.model != AUTO:
        # Of the sizes that the plan may choose it leaves out those that are too small.
        size = MOST_PIXELS if base.image_size == AUTO else base.image_size
        check_choice(base.model_copy(update={"image_size": size}).choice(name))
        return
    given = [key for key in ("weights", "alpha", "input_range") if getattr(base, key) is not None]
    if base.cuts != AUTO:
        given.append("cuts")
    if given or base.pooling:
        raise ConfigError(
            f"{', '.join(given or ['pooling'])} must be left out where model is auto: they are of "
            "one base."
        )
    check_choice(BaseChoice(name=name, model=next(iter(BASES)), image_size=MOST_PIXELS))
