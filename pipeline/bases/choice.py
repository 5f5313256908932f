"""What an entry of `embed.bases` means: a base of the table, a model file or a registered model."""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.bases.load import load_base
from pipeline.bases.table import BASES, IMAGENET, NO_BASE, BaseSource, check_base
from pipeline.bases.user_models import check_own_base, load_own_base
from pipeline.errors import ConfigError
from pipeline.files import sha256_file

if TYPE_CHECKING:
    import keras

REGISTRY: Final = "models:/"
# A folder of data/features, and a value of studies.NAME.base.
NAME_PATTERN: Final = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"
_URI_PATTERN: Final = r"models:/[^/@]+(@[^/@]+|/[1-9][0-9]*)"


@dataclass(frozen=True, kw_only=True)
class BaseChoice:
    """An entry of `embed.bases`.

    Attributes:
        name: What the user calls it.
        model: A key of `BASES`, the path of a `.keras` or `.h5` file, or `models:/NAME@ALIAS` or
            `models:/NAME/VERSION`.
        image_size: What images are resized to, pixels.
        weights: What a base of the table has learned: `imagenet`, `random`, or the path of a
            weight file; None: those of ImageNet.
        alpha: Width of a base of the table relative to the published one, > 0, where its family
            has it; None: as published.
        input_range: What a user's own model takes for black and white; None: raw uint8 images.
    """

    name: str
    model: str
    image_size: int
    weights: str | None = None
    alpha: float | None = None
    input_range: Sequence[float] | None = None

    @property
    def is_registered(self) -> bool:
        """Whether it is in the registry."""
        return self.model.startswith(REGISTRY)

    @property
    def is_file(self) -> bool:
        """Whether it is a model file, there or not."""
        is_path = "/" in self.model or "." in self.model
        return is_path and not self.is_registered and self.model not in BASES


class RegisteredModel(Protocol):
    """A version of a registered model, whose file is on this machine."""

    @property
    def path(self) -> Path:
        """The `.keras` file."""

    @property
    def name(self) -> str:
        """Of the registered model."""

    @property
    def version(self) -> str:
        """Its number, such as `3`."""


Fetch = Callable[[str], AbstractContextManager[RegisteredModel]]


@dataclass(frozen=True, kw_only=True)
class OpenedBase:
    """A base and where it came from.

    Attributes:
        model: Frozen: (n, image_size, image_size, 3) float32 RGB in [0, 255] to its top.
        source: What the entry says; of a registered model its name and version, of a file its
            SHA-256.
    """

    model: "keras.Model"
    source: BaseSource


def check_choice(choice: BaseChoice) -> None:
    """Refuses an entry that cannot be a base, as far as that shows without Keras and a network.

    Raises:
        ConfigError: If the name or the address is malformed, the file or the entry of the table
            cannot be a base, or settings are given that do not go with it.
    """
    if choice.name == NO_BASE or not re.fullmatch(NAME_PATTERN, choice.name):
        raise ConfigError(
            "A base must have a name of up to 64 letters, digits, _ and -, which does not begin "
            f"with - and is not none. Received: {choice.name!r}."
        )
    if choice.is_registered or choice.is_file:
        _refuse(choice, "weights", "a model brings its own")
        _refuse(choice, "alpha", "a model has its width")
    else:
        _refuse(choice, "input_range", f"{choice.model} is scaled as its weights expect it")
    if choice.is_registered:
        _refuse(choice, "input_range", "a registered model takes raw images")
        _check_uri(choice.model)
    elif choice.is_file:
        check_own_base(Path(choice.model), input_range=choice.input_range)
    else:
        _check_table(choice)


def open_base(choice: BaseChoice, *, fetch: Fetch) -> OpenedBase:
    """Loads the base that an entry means, and says which it is.

    An alias may move and a file may change without a change of `params.yaml`: DVC then sees no
    reason to run `embed` again, and every later stage goes on with the base that was saved beside
    the features. `dvc repro -f embed` takes the new one; its manifest tells which that was, and
    whatever depends on the features runs again only if they came out differently.

    Args:
        choice: The entry of `embed.bases`.
        fetch: Brings the file of a `models:/` address to this machine, for a block.

    Raises:
        ConfigError: If the entry cannot be a base, or there is no such registered model.
        SourceError: If weights or a model file are not to be had.
        DataIntegrityError: If a registered file is not the one that was registered.
    """
    check_choice(choice)
    is_own = choice.is_registered or choice.is_file
    source = BaseSource(
        model=choice.model,
        weights=None if is_own else choice.weights or IMAGENET,
        alpha=choice.alpha,
        input_range=list(choice.input_range) if choice.input_range else None,
    )
    if choice.is_registered:
        with fetch(choice.model) as file:
            source = replace(source, registered_model=file.name, version=file.version)
            return _open_file(choice, file.path, source)
    if choice.is_file:
        return _open_file(choice, Path(choice.model), source)
    model = load_base(
        choice.model,
        image_size=choice.image_size,
        weights=choice.weights or IMAGENET,
        alpha=choice.alpha,
    )
    return OpenedBase(model=model, source=source)


def _open_file(choice: BaseChoice, path: Path, source: BaseSource) -> OpenedBase:
    model = load_own_base(
        path, image_size=choice.image_size, input_range=choice.input_range, name=choice.name
    )
    return OpenedBase(model=model, source=replace(source, file_sha256=sha256_file(path)))


def _refuse(choice: BaseChoice, key: str, reason: str) -> None:
    value = getattr(choice, key)
    if value is not None:
        raise ConfigError(
            f"{key} must not be given for {choice.model}: {reason}. Received: {key}={value}."
        )


def _check_uri(uri: str) -> None:
    if not re.fullmatch(_URI_PATTERN, uri):
        raise ConfigError(
            "model must be models:/NAME@ALIAS or models:/NAME/VERSION. Received: "
            f"model={uri}. `python -m pipeline ui` shows what is registered."
        )


def _check_table(choice: BaseChoice) -> None:
    check_base(
        choice.model,
        image_size=choice.image_size,
        weights=choice.weights or IMAGENET,
        alpha=choice.alpha,
    )
