"""What a data set is called, which experiments, studies and registered models are named after.

A public one has its own name. One's own has that of its folder, or, where that says nothing
(`data/own`), of the checkout; or what `fetch.name` says.
"""

import hashlib
import os.path
import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.workspace import store_root

AUTO = "auto"
# What MLflow and Optuna take as part of a name, and every file system as part of a file's.
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
LONGEST_NAME = 64
HASH_DIGITS = 8
# Folders of such names, alone or together and numbered ("my_images2"), tell no data set from
# another: what images are, what part they are, and where machines keep files.
_GENERIC_WORDS = (
    "own my mine our ours new old all local the of for a "
    "data dataset datasets set sets database db file files folder folders dir directory "
    "image images img imgs picture pictures pic pics photo photos photograph photographs bild "
    "bilder foto fotos jpg jpeg png npz npy array arrays sample samples class classes label labels "
    "labeled labelled category categories train training val valid validation dev test testing "
    "split splits part parts raw original originals orig processed clean cleaned resized cropped "
    "input inputs source sources src in tmp temp temporary download downloads desktop documents "
    "home users user root mnt media volume volumes nas share shared srv opt var usr work workspace "
    "unzipped extracted archive version v"
)
_GENERIC = frozenset(_GENERIC_WORDS.split())
# Latin letters that Unicode does not take apart.
_LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
    | {"ẞ": "SS", "Æ": "AE", "Œ": "OE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "Th"}
)


def auto_name(root: Path, path: str, *, kind: str, taken: Collection[str]) -> tuple[str, str]:
    """Names a data set of one's own after where it lies.

    The last folder of `path` whose name says anything; else the checkout's folder. What lies in the
    checkout is named after a folder in it; what lies elsewhere after none that holds the checkout
    or is a home. Nothing on the disk is looked at, so a link has the name that it was given.

    Args:
        root: The repository; a copy made by `dvc exp run --temp` has the name of its original.
        path: `fetch.path`, relative to `root` or absolute; a folder, or a file of arrays.
        kind: `fetch.dataset`; follows a name that is taken, as in `digits-folder`.
        taken: Names that it must not have, in any capitals.

    Returns:
        The name, which matches `NAME_PATTERN`, and the folder or file that it is after.
    """
    home = store_root(root)
    candidates = [part for part in _folders(root, path) if not _is_generic(_stem(part))]
    after = candidates[0] if candidates else home
    name = as_name(_stem(after)) or "checkout"
    if is_taken(name, taken):
        name = f"{name[: LONGEST_NAME - len(kind) - 1]}-{kind}"
    return name, str(after)


def as_name(text: str) -> str:
    """Returns text as a name of up to 64 letters, digits, `.`, `_` and `-`; empty if none is left.

    Accents go, blanks and other marks become `-`. Where a letter or digit has no counterpart, or
    the text is longer, 8 hex digits of its SHA-256 keep it apart from others.

    >>> as_name("Fleurs d'été"), as_name("Müll & Straße"), as_name("猫"), as_name("a" * 80)[50:]
    ('Fleurs-d-ete', 'Mull-Strasse', 'a810bf84', 'aaaaa-0f45e858')
    """
    text = unicodedata.normalize("NFC", text)
    plain = unicodedata.normalize("NFKD", text.translate(_LATIN))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", letters)
    name = re.sub(r"-{2,}", "-", name).strip("-._")
    is_whole = all(c.isascii() or not c.isalnum() for c in letters)
    if is_whole and len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
    return f"{name[: LONGEST_NAME - HASH_DIGITS - 1]}-{digest}".lstrip("-")


def is_taken(name: str, taken: Collection[str]) -> bool:
    """Whether a name is one of others, in whatever capitals: some databases do not tell them."""
    return name.casefold() in {other.casefold() for other in taken}


def _folders(root: Path, path: str) -> Iterator[Path]:
    """Yields `path` and its parents, innermost first, as far as one may be named after them."""
    place = Path(os.path.normpath(root.resolve() / path))
    # Path.home() raises where a container's user has none.
    own_home = Path(os.path.expanduser("~"))  # noqa: PTH111
    homes = {root.resolve(), store_root(root), own_home}
    stops = homes | {parent for home in homes for parent in home.parents}
    for part in (place, *place.parents):
        if part in stops:
            return
        yield part


def _stem(path: Path) -> str:
    return path.stem if path.suffix.lower() == ".npz" else path.name


def _is_generic(name: str) -> bool:
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", name).casefold())
    return all(word in _GENERIC for word in words)
