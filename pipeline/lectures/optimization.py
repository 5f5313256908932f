"""Claims about how a network is trained: optimizers, rates, clipping, batches, when to stop."""

from typing import Final

from pipeline.lectures.comparison import Comparison, Variant
from pipeline.lectures.variants import DEEP, PLAIN, better, each

OPTIMIZATION: Final = (
    Comparison(
        name="clipping",
        heading="Gradient clipping",
        question="By value, or by norm?",
        common={**DEEP, "optimizer": "momentum", "learning_rate": 0.1, "clipping_threshold": 0.5},
        variants=each("clipping", "clipvalue", "clipnorm", "global_clipnorm"),
        claims=[
            better("global_clipnorm", "clipvalue", "by the whole norm better than by value"),
            better("clipnorm", "clipvalue", "by each variable's norm better than by value"),
        ],
    ),
    Comparison(
        name="optimizers",
        heading="Faster optimizers",
        question="Which optimizer is furthest after a few epochs?",
        common={**DEEP, "schedule": "constant"},
        epochs=4,
        rates=(0.001, 0.01, 0.1),
        variants=each(
            "optimizer", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "nadam"
        ),
        claims=[
            better("momentum", "sgd"),
            better("nesterov", "momentum", "nesterov nearly always faster than momentum"),
            better("adam", "rmsprop"),
            better("nadam", "adam", "nadam generally faster than adam"),
        ],
    ),
    Comparison(
        name="schedules",
        heading="Learning rate scheduling",
        question="Does a schedule beat the best constant rate?",
        common={**DEEP, "optimizer": "nesterov"},
        rates=(0.01, 0.03, 0.1),
        variants={
            **each("schedule", "constant", "performance", "one_cycle"),
            "power": Variant(changes={"schedule": "power", "decay_epochs": 3.0}),
            "exponential": Variant(changes={"schedule": "exponential", "decay_epochs": 3.0}),
            "piecewise_constant": Variant(
                changes={"schedule": "piecewise_constant", "drop_epochs": 4.0}
            ),
        },
        claims=[
            better(name, "constant")
            for name in ("exponential", "performance", "one_cycle", "piecewise_constant", "power")
        ],
    ),
    Comparison(
        name="batch_sizes",
        heading="Batch, mini-batch and online learning",
        question="How many images should an update see?",
        common={**PLAIN, "optimizer": "sgd", "schedule": "constant"},
        epochs=4,
        rates=(0.003, 0.03, 0.3),
        by_cost=True,
        variants=each("batch_size", 1, 32, 128, "full"),
        claims=[
            better("32", "full", "mini-batches better than the whole training part"),
            better("32", "1", "mini-batches better than one image at a time"),
        ],
    ),
    Comparison(
        name="early_stopping",
        heading="Early stopping",
        question="What does it cost to stop early, by either rule?",
        common={**PLAIN, "num_layers": 2, "units": 256, "schedule": "constant"},
        epochs=30,
        variants={
            "none": Variant(changes={"early_stopping": "none"}),
            "metric": Variant(changes={"early_stopping": "metric", "early_stopping_patience": 5}),
            "gradient_norm": Variant(
                changes={"early_stopping": "gradient_norm", "gradient_norm_threshold": 0.3}
            ),
        },
        claims=[better("metric", "gradient_norm", "patience better than a small gradient")],
    ),
    Comparison(
        name="defaults",
        heading="Summary",
        question="Does the summary's configuration work fine?",
        common={"images_per_epoch": 1, "num_layers": 3, "units": 100},
        epochs=15,
        variants={
            "summary": Variant(
                changes={
                    **{"activation": "selu", "initializer": "lecun", "optimizer": "adam"},
                    **{"schedule": "performance", "batch_size": 32},
                    **{"dropout": "last", "dropout_rate": 0.2, "early_stopping": "metric"},
                }
            ),
            "plain": Variant(
                changes={
                    **{"activation": "sigmoid", "initializer": "glorot", "optimizer": "sgd"},
                    **{"schedule": "constant", "learning_rate": 0.1, "batch_size": 32},
                    **{"dropout": "none", "early_stopping": "none"},
                }
            ),
        },
        claims=[better("summary", "plain", "better than sigmoid, glorot and sgd")],
    ),
)
