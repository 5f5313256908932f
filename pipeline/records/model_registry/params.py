"""The section `register` of `params.yaml`. Beside the stage, since `check` reads it, too."""

from typing import Final

from pydantic import Field

from pipeline.config import Section

AUTO: Final = "auto"


class RegisterParams(Section):
    """Section `register`: which study's winner becomes a version of the registered model."""

    study: str = Field(description="auto: the best of those with a base; or a study's name")
