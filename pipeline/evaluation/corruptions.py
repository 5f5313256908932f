"""What happens to images on their way: noise, blur, compression, light.

A small set of our own, at one strength each that a person sees and still recognizes everything by;
the idea of judging a classifier so is that of Hendrycks and Dietterich 2019, arXiv:1903.12261.
"""

import io
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.registry import Registry

Corrupt = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
"""Turns one image, uint8, shape (h, w) or (h, w, 3), into another of the same shape."""

CORRUPTIONS: Registry[Corrupt] = Registry("corruption")

NOISE_STD: Final = 20.0
"""Of 255."""
BLUR_SHARE: Final = 0.02
"""Standard deviation of the blur, of the image's height."""
JPEG_QUALITY: Final = 20
DARK: Final = 0.5
BRIGHT: Final = 1.5


@CORRUPTIONS.register("noise")
def noise(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Adds normal noise of standard deviation `NOISE_STD` to every value by itself."""
    return _bytes(image + generator.normal(0.0, NOISE_STD, image.shape))


@CORRUPTIONS.register("blur")
def blur(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Blurs with a Gaussian whose standard deviation is `BLUR_SHARE` of the height."""
    from PIL import Image, ImageFilter

    radius = BLUR_SHARE * image.shape[0]
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


@CORRUPTIONS.register("jpeg")
def jpeg(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Stores as JPEG of quality `JPEG_QUALITY` and reads it again."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(file))


@CORRUPTIONS.register("dark")
def dark(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Multiplies every value by `DARK`."""
    return _bytes(image * DARK)


@CORRUPTIONS.register("bright")
def bright(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Multiplies every value by `BRIGHT`; what gets too bright is white."""
    return _bytes(image * BRIGHT)


def corrupted(images: NDArray[np.uint8], name: str, *, seed: int) -> NDArray[np.uint8]:
    """Returns images as a corruption leaves them.

    Args:
        images: uint8, shape (n, h, w) or (n, h, w, 3).
        name: A key of `CORRUPTIONS`.
        seed: Seed of what is random in it, >= 0.
    """
    corrupt, generator = CORRUPTIONS.get(name), np.random.default_rng(seed)
    return np.stack([corrupt(image, generator) for image in images])


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, np.iinfo(np.uint8).max).astype(np.uint8)
