"""Claims about what a trained base is worth, and how much of it to train on."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.lectures.comparison import Comparison, Variant
from pipeline.lectures.variants import BASE, FEW, MANY, PLAIN, better, more

UNFROZEN: Final[Mapping[str, Any]] = {"unfreeze": 1, "fine_tuning_share": 0.5}

TRANSFER: Final = (
    Comparison(
        name="transfer",
        heading="Transfer learning",
        question="Does a trained base need fewer images?",
        common={**PLAIN, "images_per_epoch": 5000},
        variants={
            f"{name}, {size}": Variant(base=base, num_images=size)
            for name, base in (("base", BASE), ("pixels", "none"))
            for size in (FEW, MANY)
        },
        claims=[
            better("base, 500", "pixels, 500", "better with few images"),
            better("base, 500", "pixels, 4000", "with 500 better than pixels with 4,000"),
            more(
                "more images are worth less to it",
                ("pixels, 4000", "pixels, 500"),
                ("base, 4000", "base, 500"),
            ),
        ],
    ),
    Comparison(
        name="reused_layers",
        heading="Transfer learning: how many layers to reuse",
        question="Are all layers of a base worth reusing?",
        common=PLAIN,
        variants={
            cut: Variant(changes={"cut": cut}, base=BASE)
            for cut in ("avg_pool", "block10_add", "block7_add")
        },
        claims=[
            better("block10_add", "avg_pool", "without the top third better than all layers"),
            better("block10_add", "block7_add", "two thirds of the layers better than half"),
        ],
    ),
    Comparison(
        name="more_data",
        heading="The procedure for more data",
        question="How much do twice the images bring?",
        common={**PLAIN, "images_per_epoch": 5000},
        variants={
            str(size): Variant(base=BASE, num_images=size) for size in (MANY // 8, 1000, 2000, MANY)
        },
        claims=[better(str(2 * size), str(size)) for size in (MANY // 8, 1000, 2000)],
    ),
    Comparison(
        name="replaced_layers",
        heading="Transfer learning: how many layers to replace",
        question="Do more images allow more new layers?",
        common={**PLAIN, "images_per_epoch": 5000},
        variants={
            f"{layers} new, {size}": Variant(
                changes={"num_layers": layers} | ({"units": 128} if layers else {}),
                base=BASE,
                num_images=size,
            )
            for layers in (0, 2)
            for size in (FEW, MANY)
        },
        claims=[
            more(
                "new hidden layers gain more from more images",
                ("2 new, 4000", "0 new, 4000"),
                ("2 new, 500", "0 new, 500"),
            ),
        ],
    ),
    Comparison(
        name="unfrozen_layers",
        heading="Transfer learning: how many layers to unfreeze",
        question="Do more images allow more layers to be unfrozen?",
        common={**PLAIN, "images_per_epoch": 1000},
        epochs=4,
        variants={
            f"{name}, {size}": Variant(changes=dict(changes), base=BASE, num_images=size)
            for name, changes in (
                ("frozen", {"unfreeze": 0}),
                ("one layer", {**UNFROZEN, "unfreeze_layers": 1}),
                ("two layers", {**UNFROZEN, "unfreeze_layers": 2}),
                ("a block", {**UNFROZEN, "unfreeze_layers": "all"}),
            )
            for size in (FEW, 2000)
        },
        claims=[
            better(
                "one layer, 2000", "frozen, 2000", "with many images one layer better than none"
            ),
            better("two layers, 2000", "one layer, 2000", "with many images two better than one"),
            better("a block, 2000", "two layers, 2000", "with many images a block better than two"),
            more(
                "unfreezing a block gains more from more images",
                ("a block, 2000", "frozen, 2000"),
                ("a block, 500", "frozen, 500"),
            ),
        ],
    ),
)
