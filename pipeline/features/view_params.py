"""The section `views` of a base in `params.yaml`. Apart from `views`, so that it needs no NumPy."""

from pydantic import Field

from pipeline.config import Section


class RandomViews(Section):
    """What the kinds share whose views differ from image to image."""

    num_views: int = Field(ge=1, le=100, description="views of each training image")
    hflip: bool = Field(description="mirror half of the views as well")
    seed: int = Field(ge=0, description="of what is drawn for each image")


class ShiftParams(RandomViews):
    """Section `embed.bases.NAME.views.shift`: moved by whole pixels; edges are repeated."""

    max_shift: float = Field(gt=0, le=0.5, description="largest, share of height and of width")


class CropParams(RandomViews):
    """Section `embed.bases.NAME.views.crop`: a part of the image, enlarged to all of it."""

    min_scale: float = Field(gt=0, lt=1, description="smallest, share of height and of width")


class ViewsParams(Section):
    """Section `embed.bases.NAME.views`: which versions of the training images there are."""

    hflip: bool = Field(default=False, description="one view: mirrored left to right")
    shift: ShiftParams | None = Field(default=None, description="moved; left out: none")
    crop: CropParams | None = Field(default=None, description="cropped; left out: none")

    @property
    def num_views(self) -> int:
        """Rows that each training image has beside its own."""
        random = sum(part.num_views for part in (self.shift, self.crop) if part)
        return int(self.hflip) + random
