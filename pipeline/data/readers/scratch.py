"""Room for pixels on the disk, so that those of many images need not fit into memory."""

import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError


def pixels_on_disk(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    """Returns an array in a file without a name, which is gone with the array.

    Args:
        shape: Shape of the array, which is uint8 and all zeros at first.
        folder: Where the file lies; made if it is missing.

    Raises:
        ConfigError: If the disk is too small for the array and for what is saved of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * math.prod(shape), shutil.disk_usage(folder).free
    if needed > free:
        # A page that cannot be written would end the process without a word.
        raise ConfigError(
            f"{folder} needs {needed / 1e9:,.2f} GB of free disk space for {shape[0]} images of "
            f"{shape[2]}x{shape[1]} pixels. Received: {free / 1e9:,.2f} GB. Free some space, or "
            "lower fetch.image_size."
        )
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
