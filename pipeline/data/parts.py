"""The parts of a dataset, and how many images one gets where `split` says `auto`."""

from typing import Final, Literal

# What a dataset may bring; what it does not is drawn.
PARTS: Final = ("train", "val", "confirmation", "test")
AUTO: Final = "auto"
PartSize = int | float | Literal["auto"]

# More images would hardly change a choice: see `auto_size` for what so many tell.
_ENOUGH: Final = 5000
_FEW: Final = 400
_MOST_PERCENT: Final = 15


def auto_size(num_images: int, *, num_distinct: int, num_classes: int) -> tuple[int, str]:
    """Returns how many images a drawn part gets, and where that number comes from.

    n = min(5000, max(N // 10, 400), 15 D // 100), and one image of each class at least. An accuracy
    a that is measured on n images has the standard error sqrt(a (1 - a) / n): 0.003 at a = 0.95
    with 5,000, 0.02 at a = 0.8 with 400. So few images get parts that still tell something, for at
    most 15% of what could be trained on; many get a tenth, and never more than is of use.

    N counts copies, so that published data sets are divided as is usual: of CIFAR-10's 50,000
    images 5,000, although a few of them repeat others. D counts none, since a part takes each image
    once: of a data set that holds every image five times it would take three quarters.

    Args:
        num_images: N, images that the part is drawn from, copies included.
        num_distinct: D, how many of them differ.
        num_classes: Classes, all of which the part must hold.

    >>> auto_size(1440, num_distinct=1440, num_classes=9)
    (216, '15% of 1440')
    >>> auto_size(60_000, num_distinct=59_990, num_classes=10)
    (5000, '5000 at most')
    """
    is_tenth = num_images >= 10 * _FEW
    sizes = {
        _ENOUGH: f"{_ENOUGH} at most",
        max(num_images // 10, _FEW): f"a tenth of {num_images}" if is_tenth else f"{_FEW} at least",
        _MOST_PERCENT * num_distinct // 100: f"{_MOST_PERCENT}% of {num_distinct}",
    }
    number = min(sizes)
    return (number, sizes[number]) if number >= num_classes else (num_classes, "one of each class")
