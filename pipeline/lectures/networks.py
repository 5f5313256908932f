"""Claims about activations, initialization, batch normalization and the size of a network."""

from itertools import pairwise
from typing import Final

from pipeline.lectures.comparison import Comparison, Variant
from pipeline.lectures.variants import DEEP, FEW, MANY, PLAIN, RATES, better, both, each, more

BEST_FIRST: Final = ("selu", "elu", "leaky_relu", "relu", "tanh", "sigmoid")
"""As the lecture orders them."""

NETWORKS: Final = (
    Comparison(
        name="activations",
        heading="Activation functions",
        question="Which activation trains a deep network best?",
        common=DEEP,
        rates=RATES,
        variants=each("activation", *BEST_FIRST),
        claims=[better(one, other) for one, other in pairwise(BEST_FIRST)],
    ),
    Comparison(
        name="leaky_slope",
        heading="Leaky ReLU",
        question="Does a huge leak do better than a small one?",
        common={**DEEP, "activation": "leaky_relu"},
        variants=each("negative_slope", 0.2, 0.01),
        claims=[better("0.2", "0.01", "a slope of 0.2 better than 0.01")],
    ),
    Comparison(
        name="prelu",
        heading="Leaky ReLU: parametric slopes",
        question="Does a learned slope overfit a small data set?",
        common={**DEEP, "images_per_epoch": 5000},
        variants={
            f"{name}, {size}": Variant(changes={"activation": name}, num_images=size)
            for name in ("prelu", "leaky_relu")
            for size in (FEW, MANY)
        },
        claims=[
            better("leaky_relu, 500", "prelu, 500", "with few images prelu is worse"),
            more(
                "prelu gains more than leaky_relu from more images",
                ("prelu, 4000", "leaky_relu, 4000"),
                ("prelu, 500", "leaky_relu, 500"),
            ),
        ],
    ),
    Comparison(
        name="initialization",
        heading="Glorot and He initialization",
        question="Does each activation train best with its own initialization?",
        common=DEEP,
        variants=both(
            {"relu": {"activation": "relu"}, "selu": {"activation": "selu"}},
            {name: {"initializer": name} for name in ("he", "glorot", "lecun")},
        ),
        claims=[
            better("relu, he", "relu, glorot"),
            better("relu, he", "relu, lecun"),
            better("selu, lecun", "selu, he"),
        ],
    ),
    Comparison(
        name="symmetry",
        heading="Weight initialization",
        question="What becomes of weights that begin too small, too large or equal?",
        common={**DEEP, "activation": "tanh"},
        variants={
            "glorot": Variant(changes={"initializer": "glorot"}),
            "zeros": Variant(changes={"initializer": "zeros"}),
            "too small": Variant(changes={"initializer": "normal", "initializer_scale": 1e-3}),
            "too large": Variant(changes={"initializer": "normal", "initializer_scale": 3.0}),
        },
        claims=[better("glorot", name) for name in ("zeros", "too small", "too large")],
    ),
    Comparison(
        name="batch_norm_rates",
        heading="Batch normalization",
        question="Does batch normalization allow larger learning rates?",
        common={**DEEP, "optimizer": "momentum"},
        variants=both(
            {"with": {"normalization": "before"}, "without": {"normalization": "none"}},
            {f"rate {rate}": {"learning_rate": rate} for rate in (0.01, 0.3)},
        ),
        claims=[
            better("with, rate 0.3", "without, rate 0.3", "better with it at a rate of 0.3"),
            more(
                "a larger rate costs less with it",
                ("with, rate 0.3", "with, rate 0.01"),
                ("without, rate 0.3", "without, rate 0.01"),
            ),
        ],
    ),
    Comparison(
        name="batch_norm_initialization",
        heading="Batch normalization",
        question="Does initialization matter less with batch normalization?",
        common={**DEEP, "activation": "sigmoid"},
        variants=both(
            {"with": {"normalization": "before"}, "without": {"normalization": "none"}},
            {name: {"initializer": name} for name in ("he", "lecun")},
        ),
        claims=[
            better("with, lecun", "without, lecun", "better with it"),
            more(
                "he gains more over lecun without it",
                ("without, he", "without, lecun"),
                ("with, he", "with, lecun"),
            ),
        ],
    ),
    Comparison(
        name="batch_norm_place",
        heading="Batch normalization",
        question="Before or after the activation?",
        common=DEEP,
        variants=each("normalization", "before", "after", "none"),
        claims=[better("before", "after"), better("before", "none")],
    ),
    Comparison(
        name="batch_norm_first",
        heading="Batch normalization",
        question="Does a first layer of it stand in for standardized features?",
        common={**DEEP, "optimizer": "nesterov"},
        variants={
            "standardized": Variant(changes={"feature_scaling": "standardize"}),
            "first layer": Variant(changes={"feature_scaling": "none", "normalize_first": True}),
            "as they are": Variant(changes={"feature_scaling": "none"}),
        },
        claims=[
            better("first layer", "as they are", "as the first layer better than raw features")
        ],
    ),
    Comparison(
        name="stretch_pants",
        heading="How many layers and units",
        question="Start too large and regularize, or start small?",
        common={**PLAIN, "num_layers": 2, "early_stopping": "metric"},
        epochs=20,
        variants={
            "large": Variant(
                changes={"units": 512, "dropout": "last", "dropout_layers": 1, "dropout_rate": 0.3}
            ),
            "small": Variant(changes={"units": 32}),
        },
        claims=[better("large", "small", "large and regularized better than small")],
    ),
)
