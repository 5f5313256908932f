"""Image files that a user names: files, folders and patterns."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.data.readers.left_out import AVIF, HEIF, OTHER_FORMAT
from pipeline.data.readers.tree import ImageFile, read_tree
from pipeline.errors import ConfigError

UNREAD: Final = (HEIF, AVIF, OTHER_FORMAT)


def image_files(named: Sequence[str]) -> list[Path]:
    """Returns the files that are named, each once, in the order of their names.

    Args:
        named: Files; folders, of which what `fetch` would take for pictures, links followed; and
            patterns of `glob`, with `**` for any folders.

    Raises:
        ConfigError: If one of them names nothing.
    """
    found: dict[Path, None] = {}
    missing = []
    for name in named:
        path = Path(name)
        if path.is_file():
            files = [path]
        elif path.is_dir():
            tree = read_tree(path)
            files = [_path_of(image, path) for image in tree.top.all_images()]
            # Pictures of formats that cannot be read here are named, one by one.
            files += [path / file for one in UNREAD for file in tree.left_out.names.get(one, ())]
            tree.left_out.log(name, num_used=len(files))
        else:
            # `Path.glob` takes no pattern that begins with /.
            matches = sorted(map(Path, glob.glob(name, recursive=True)))  # noqa: PTH207
            files = [match for match in matches if match.is_file()]
        if not files:
            missing.append(name)
        found |= dict.fromkeys(files)
    if missing:
        raise ConfigError(
            "IMAGE must be a file, a folder with pictures in it, or a pattern that files match. "
            f"Received: {', '.join(missing)}."
        )
    return list(found)


def _path_of(image: ImageFile, folder: Path) -> Path:
    own = folder / image.name
    # A name that is no UTF-8 is an escaped one.
    return own if own.exists() else Path(image.real)
