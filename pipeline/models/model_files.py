"""What opening a damaged model file can raise, and how it is said.

Nothing here is Keras' own: a `.keras` file is a zip archive with JSON and HDF5 in it.
"""

import zipfile
import zlib
from typing import Final

UNREADABLE: Final = (
    OSError,
    # JSON, text that is no UTF-8, and layers, shapes or weights that do not fit.
    ValueError,
    TypeError,
    KeyError,
    # HDF5, and zip's features that Python does not know.
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


def one_line(reason: BaseException | str) -> str:
    """Returns what a library said as a part of a sentence, without the rest of a long text.

    >>> one_line("it  is broken.")
    'it is broken'
    """
    return " ".join(str(reason).split())[:300].rstrip(".")
