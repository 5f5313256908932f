"""The hyperparameters of the network that is trained: what it is fed with, and its layers."""

from typing import Final

from pipeline.hyperparameter import Hyperparameter, where
from pipeline.training.activations import ACTIVATIONS

MAX_LAYERS: Final = 5


def _layers_above(index: int) -> tuple[int, ...]:
    return tuple(range(index + 1, MAX_LAYERS + 1))


_HIDDEN: Final = _layers_above(0)

HEAD_HYPERPARAMETERS: Final[dict[str, Hyperparameter]] = {
    # What the head is fed with.
    "cut": Hyperparameter(
        kind="name",
        help="layer of the base whose output feeds the head, or a list of layers side by side; "
        "auto: all that were embedded",
    ),
    "pooling": Hyperparameter(
        kind="category",
        choices=("none", "average", "global"),
        help="of the cut's output before flattening: 2x2 average, or the average of each channel",
    ),
    "views": Hyperparameter(
        kind="category",
        choices=("all", "none"),
        help="embedded views of the training images, such as their mirror images: trained on "
        "beside the images, or left out",
    ),
    "feature_scaling": Hyperparameter(
        kind="category",
        choices=("standardize", "unit", "none"),
        help="standardize: zero mean, unit variance per channel of the training part; "
        "unit: divided by 255",
    ),
    # Architecture of the head.
    "num_layers": Hyperparameter(kind="int", low=0, high=MAX_LAYERS, help="hidden layers"),
    "units_shape": Hyperparameter(
        kind="category",
        choices=("same", "per_layer"),
        active_when=where(num_layers=_HIDDEN),
        help="one width for all hidden layers, or one each",
    ),
    "units": Hyperparameter(
        kind="int",
        low=1,
        high=1024,
        active_when=where(units_shape="same"),
        help="units of every hidden layer",
    ),
    **{
        f"units_{index}": Hyperparameter(
            kind="int",
            low=1,
            high=1024,
            active_when=where(units_shape="per_layer", num_layers=_layers_above(index)),
            help=f"units of hidden layer {index}, counted from 0 at the features",
        )
        for index in range(MAX_LAYERS)
    },
    "activation": Hyperparameter(
        kind="category",
        choices=tuple(ACTIVATIONS),
        active_when=where(num_layers=_HIDDEN),
        help="of the hidden layers",
    ),
    "negative_slope": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=where(activation="leaky_relu"),
        help="slope of leaky_relu below 0; 0.2 is the 'huge leak'",
    ),
    # Initialization.
    "initializer": Hyperparameter(
        kind="category",
        choices=("auto", "glorot", "he", "lecun"),
        active_when=where(num_layers=_HIDDEN),
        help="of the hidden layers; auto follows the activation",
    ),
    "initializer_distribution": Hyperparameter(
        kind="category",
        choices=("normal", "uniform"),
        active_when=where(num_layers=_HIDDEN),
        help="of the initial weights",
    ),
    "initializer_fan": Hyperparameter(
        kind="category",
        choices=("auto", "fan_in", "fan_avg"),
        active_when=where(num_layers=_HIDDEN),
        help="what the variance is divided by; auto: fan_avg for glorot, fan_in for he and lecun",
    ),
    # Normalization.
    "normalization": Hyperparameter(
        kind="category",
        choices=("none", "before", "after"),
        active_when=where(num_layers=_HIDDEN),
        help="batch normalization before or after each activation",
    ),
    "normalize_first": Hyperparameter(
        kind="category", choices=(False, True), help="batch normalization as the head's first layer"
    ),
    "batch_norm_momentum": Hyperparameter(
        kind="float", low=0, high=1, high_exclusive=True, help="of the moving statistics"
    ),
    "batch_norm_epsilon": Hyperparameter(
        kind="float", low=0, low_exclusive=True, high=1, help="added to the variance"
    ),
    # Regularization.
    "dropout": Hyperparameter(
        kind="category",
        choices=("none", "input", "all", "last"),
        help="where: on the head's input, on all hidden layers and the input, or on the last ones",
    ),
    "dropout_layers": Hyperparameter(
        kind="int",
        low=1,
        high=MAX_LAYERS,
        active_when=where(dropout="last"),
        help="how many hidden layers count as the last ones",
    ),
    "dropout_rate": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=where(dropout=("input", "all", "last")),
        help="share of values dropped; alpha dropout with selu",
    ),
    "regularizer": Hyperparameter(
        kind="category",
        choices=("none", "l1", "l2", "elastic_net"),
        help="penalty on the weights of every dense layer of the head",
    ),
    "l1": Hyperparameter(
        kind="float",
        low=0,
        active_when=where(regularizer=("l1", "elastic_net")),
        help="factor of the sum of absolute weights",
    ),
    "l2": Hyperparameter(
        kind="float",
        low=0,
        active_when=where(regularizer=("l2", "elastic_net")),
        help="factor of the sum of squared weights",
    ),
}
