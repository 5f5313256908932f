"""The section `split` of `params.yaml`. Beside the stage, since `check` reads it without NumPy."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config import Section
from pipeline.data.parts import AUTO, PartSize


class SplitParams(Section):
    """Section `split`: how the images are divided.

    Sizes are auto, images, or a share in (0, 1).
    """

    method: Literal["stratified", "first_n"] = Field(description="how the val part is chosen")
    val_size: PartSize = Field(description="judged by in a search")
    confirmation_size: PartSize = Field(description="seen by no search; confirm judges on it")
    test_size: PartSize = Field(description="read by evaluate; where the dataset brings none")
    seed: int = Field(ge=0, description="of every draw")

    @field_validator("val_size", "confirmation_size", "test_size", mode="before")
    @classmethod
    def _is_count_or_share(cls, size: object) -> object:
        is_count = isinstance(size, int) and not isinstance(size, bool) and size >= 1
        is_share = isinstance(size, float) and 0 < size < 1
        if not (is_count or is_share or size == AUTO):
            raise ValueError(
                "must be auto, a number of images, 1 or more, or a share between 0 and 1"
            )
        return size

    @model_validator(mode="after")
    def _sizes_fit(self) -> "SplitParams":
        if self.method == "first_n" and isinstance(self.val_size, float):
            raise ValueError(
                "val_size must be auto or a number of images where method is first_n. "
                f"Received: val_size={self.val_size}"
            )
        shares = [s for s in (self.val_size, self.confirmation_size) if isinstance(s, float)]
        if sum(shares) >= 1:
            raise ValueError(
                "val_size and confirmation_size must leave a share to train on. "
                f"Received: val_size={self.val_size}, confirmation_size={self.confirmation_size}"
            )
        return self
