"""The section `evaluate` of `params.yaml`, beside the stage: `check` reads it without NumPy."""

from pydantic import Field

from pipeline.config import BatchSize, Section


class EvaluateParams(Section):
    """Section `evaluate`: how the test part is judged."""

    bootstrap: int = Field(ge=100, le=100_000, description="resamples behind each interval")
    seed: int = Field(ge=0, description="seed of resamples, corruptions and dropout")
    batch_size: BatchSize = Field(description="images at a time")
    corrupted_images: int = Field(
        default=1000, ge=0, description="test images that noise, blur, ... are tried on; 0: none"
    )
    dropout_passes: int = Field(
        default=20,
        ge=0,
        le=1000,
        description="passes of Monte Carlo dropout over each test image; 0: none",
    )
