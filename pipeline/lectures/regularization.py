"""Claims about dropout and penalties."""

from typing import Final

from pipeline.lectures.comparison import Comparison, Variant
from pipeline.lectures.variants import FEW, PLAIN, better, both, more

REGULARIZATION: Final = (
    Comparison(
        name="dropout_place",
        heading="Dropout",
        question="On all layers, or on the last ones only?",
        common={**PLAIN, "num_layers": 3, "units": 256},
        epochs=15,
        variants={
            "last": Variant(changes={"dropout": "last", "dropout_layers": 1, "dropout_rate": 0.3}),
            "all": Variant(changes={"dropout": "all", "dropout_rate": 0.3}),
            "none": Variant(),
        },
        claims=[
            better("last", "all", "on the last hidden layer better than everywhere"),
            better("last", "none", "on the last hidden layer better than nowhere"),
        ],
    ),
    Comparison(
        name="dropout_size",
        heading="Dropout",
        question="Do large layers want more of it than small ones?",
        common={**PLAIN, "num_layers": 2, "dropout": "all"},
        epochs=15,
        variants=both(
            {"large": {"units": 512}, "small": {"units": 32}},
            {f"rate {rate}": {"dropout_rate": rate} for rate in (0.1, 0.5)},
        ),
        claims=[
            more(
                "a large layer gains more from a high rate",
                ("large, rate 0.5", "large, rate 0.1"),
                ("small, rate 0.5", "small, rate 0.1"),
            ),
        ],
    ),
    Comparison(
        name="regularization",
        heading="l1, l2 and elastic net",
        question="Does a penalty on the weights help where there are few images?",
        common={**PLAIN, "num_layers": 2, "units": 256, "images_per_epoch": 5000},
        variants={
            "none": Variant(num_images=FEW),
            "l2": Variant(changes={"regularizer": "l2", "l2": 1e-3}, num_images=FEW),
            "l1": Variant(changes={"regularizer": "l1", "l1": 1e-4}, num_images=FEW),
            "elastic_net": Variant(
                changes={"regularizer": "elastic_net", "l1": 1e-4, "l2": 1e-3}, num_images=FEW
            ),
        },
        claims=[better(name, "none") for name in ("l2", "l1", "elastic_net")],
    ),
)
