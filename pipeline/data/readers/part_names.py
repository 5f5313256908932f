"""What a folder's name says about parts: `seg_train`, `Test Set`, `val2017`, `valid-images`."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

# An evaluation part is the test part, or the validation part where another is called test.
EVALUATION: Final = "evaluation"
_WORDS: Final = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "devel"), "val"),
    "confirmation": "confirmation",
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
    **dict.fromkeys(("eval", "evaluate", "evaluation"), EVALUATION),
}
# Words that say nothing about classes. Any other word beside `train` makes a name that may be of a
# class, such as bullet_train.
_FILLERS: Final = frozenset(
    {"set", "sets", "subset", "data", "dataset", "datasets", "split", "part", "folder", "dir"}
    | {"image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos"}
    | {"file", "files", "sample", "samples", "seg", "my", "new", "the", "all", "full", "final"}
    | {"small", "big", "large", "raw", "orig", "original", "clean", "jpg", "jpeg", "png", "crop"}
    | {"cropped", "resized", "labeled", "labelled", "class", "classes", "x", "public", "private"}
)
# Folders of these words hold images for which nobody has said the class.
_UNLABELLED: Final = frozenset(
    {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "unknown"}
    | {"unsup", "unsupervised", "inference", "submission"}
)


@dataclass(frozen=True)
class Claim:
    """The part that a name is of.

    Attributes:
        part: train, val, confirmation, test or `EVALUATION`.
        rest: The words that say neither a part nor nothing; empty if the name is a part's for sure.
    """

    part: str
    rest: tuple[str, ...]


def claim_of(name: str) -> Claim | None:
    """Reads the part out of a folder's name; None if it names none, or several.

    Case, digits and what separates words do not count; `trainset` and `TrainSet` are two words, and
    `train_val` is material to train on.

    >>> claim_of("seg_train"), claim_of("Bullet Train"), claim_of("trainer")
    (Claim(part='train', rest=()), Claim(part='train', rest=('bullet',)), None)
    """
    words = _words(name)
    parts = {_WORDS[word] for word in words if word in _WORDS}
    if parts == {"train", "val"}:
        parts = {"train"}
    if len(parts) != 1:
        return None
    rest = tuple(word for word in words if word not in _WORDS and word not in _FILLERS)
    return Claim(parts.pop(), rest)


def is_unlabelled(name: str) -> bool:
    """Whether a folder of this name holds images without a class, such as `seg_pred`."""
    words = [word for word in _words(name) if word not in _FILLERS]
    return all(word in _UNLABELLED or word in _WORDS for word in words)


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", name)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).lower()
    spaced = re.sub(r"\bhold[\W_]+out\b", "holdout", spaced)
    found = re.split(r"[\W\d_]+", spaced)
    return [part for word in found if word for part in _halves(word)]


def _halves(word: str) -> tuple[str, ...]:
    for part in sorted(_WORDS, key=len, reverse=True):
        before, after = word.removesuffix(part), word.removeprefix(part)
        if after != word and after in _FILLERS:
            return (part, after)
        if before != word and before in _FILLERS:
            return (before, part)
    return (word,)
