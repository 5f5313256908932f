"""Records of a split as the stage leaves them, for tests that split nothing."""

from pipeline.split_record import PartCounts, SplitRecord

PARTS = ("train", "val", "confirmation", "test")


def split_record(*, per_class=(10, 10), **changes):
    """Returns the record of two digits of 8x8 pixels; every part has so many images of a class."""
    counts = PartCounts(images=sum(per_class), per_class=tuple(per_class))
    told = {
        "dataset": "digits",
        "class_names": ("zero", "one"),
        "image_shape": (8, 8),
        "counts": dict.fromkeys(PARTS, counts),
        "duplicates": {},
        "sha256": {"train": "ab" * 32, "test": "cd" * 32},
    }
    return SplitRecord(**{**told, **changes})
