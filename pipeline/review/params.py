"""The section `review` of `params.yaml`, beside the stage: `check` reads it without NumPy."""

from pydantic import Field

from pipeline.config import Section


class ReviewParams(Section):
    """Section `review`: how the data are looked through."""

    shown: int = Field(ge=6, le=200, description="most images of each kind that pages show")
    most_compared: int = Field(
        ge=0, description="images, of more of which near-duplicates are not looked for; 0: never"
    )
    seed: int = Field(ge=0, description="seed of the folds")
