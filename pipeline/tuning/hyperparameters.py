"""Every hyperparameter of a trial: its kind, its legal values and when it exists at all.

This table is what `params.yaml` is checked against and what a search space is made of. It imports
no heavy library. To add one, add an entry below and read it where the model is built or trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.models.activations import ACTIVATIONS
from pipeline.training.optimizers import OPTIMIZERS
from pipeline.training.schedules import SCHEDULES

Value = str | int | float | bool
Hyperparameters = Mapping[str, Value]
MAX_LAYERS = 5


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One thing that a trial can be told.

    Attributes:
        kind: `int` and `float` are numbers in [low, high]; `category` is one of `choices`;
            `name` is any text, checked where it is used (a cut point of the base).
        help: Meaning, unit and source in one line; shown by `check --help`.
        low: Smallest legal number; exclusive if `low_exclusive`.
        high: Largest legal number; exclusive if `high_exclusive`.
        choices: Legal values of a category, and legal words beside the numbers of an `int`.
        active_when: Exists only where each named hyperparameter has one of these values.
    """

    kind: Literal["int", "float", "category", "name"]
    help: str
    low: float | None = None
    high: float | None = None
    low_exclusive: bool = False
    high_exclusive: bool = False
    choices: tuple[Value, ...] = ()
    active_when: Mapping[str, frozenset[Value]] = field(default_factory=dict)

    def is_active(self, values: Hyperparameters) -> bool:
        """Whether this hyperparameter exists beside `values`, which hold the earlier ones."""
        return all(values.get(name) in wanted for name, wanted in self.active_when.items())

    def problem(self, value: object) -> str | None:
        """Says what is wrong with a value, or None."""
        if self.kind == "name":
            return None if isinstance(value, str) and value else "must be a name"
        # 1 == True in Python, and neither stands for the other here.
        if any(value == choice and type(value) is type(choice) for choice in self.choices):
            return None
        if self.kind == "category":
            return f"must be one of {', '.join(map(str, self.choices))}"
        return self._number_problem(value)

    def _number_problem(self, value: object) -> str | None:
        allowed = int if self.kind == "int" else (int, float)
        if not isinstance(value, allowed) or isinstance(value, bool):
            words = "".join(f" or {word!r}" for word in self.choices)
            return f"must be {'an integer' if self.kind == 'int' else 'a number'}{words}"
        return None if self._contains(float(value)) else f"must lie in {self.interval}"

    def _contains(self, value: float) -> bool:
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        above = value > low if self.low_exclusive else value >= low
        below = value < high if self.high_exclusive else value <= high
        return above and below

    @property
    def interval(self) -> str:
        """The legal numbers, as in `[0, 1)`."""
        left = "(" if self.low_exclusive or self.low is None else "["
        right = ")" if self.high_exclusive or self.high is None else "]"
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{left}{low}, {high}{right}"


def _where(**conditions: Value | tuple[Value, ...]) -> dict[str, frozenset[Value]]:
    return {
        name: frozenset(wanted if isinstance(wanted, tuple) else (wanted,))
        for name, wanted in conditions.items()
    }


def _layers_above(index: int) -> tuple[int, ...]:
    return tuple(range(index + 1, MAX_LAYERS + 1))


_HIDDEN = _layers_above(0)
_ADAM_FAMILY = ("adam", "adamw", "nadam")

HYPERPARAMETERS: dict[str, Hyperparameter] = {
    # What the head is fed with.
    "cut": Hyperparameter(
        kind="name", help="layer of the base whose output feeds the head; auto: every embedded one"
    ),
    "pooling": Hyperparameter(
        kind="category",
        choices=("none", "average", "global"),
        help="of the cut's output before flattening: 2x2 average, or the average of each channel",
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
        active_when=_where(num_layers=_HIDDEN),
        help="one width for all hidden layers, or one each",
    ),
    "units": Hyperparameter(
        kind="int",
        low=1,
        high=1024,
        active_when=_where(units_shape="same"),
        help="units of every hidden layer",
    ),
    **{
        f"units_{index}": Hyperparameter(
            kind="int",
            low=1,
            high=1024,
            active_when=_where(units_shape="per_layer", num_layers=_layers_above(index)),
            help=f"units of hidden layer {index}, counted from 0 at the features",
        )
        for index in range(MAX_LAYERS)
    },
    "activation": Hyperparameter(
        kind="category",
        choices=tuple(ACTIVATIONS),
        active_when=_where(num_layers=_HIDDEN),
        help="of the hidden layers",
    ),
    "negative_slope": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=_where(activation="leaky_relu"),
        help="slope of leaky_relu below 0; 0.2 is the 'huge leak'",
    ),
    # Initialization.
    "initializer": Hyperparameter(
        kind="category",
        choices=("auto", "glorot", "he", "lecun"),
        active_when=_where(num_layers=_HIDDEN),
        help="of the hidden layers; auto follows the activation",
    ),
    "initializer_distribution": Hyperparameter(
        kind="category",
        choices=("normal", "uniform"),
        active_when=_where(num_layers=_HIDDEN),
        help="of the initial weights",
    ),
    "initializer_fan": Hyperparameter(
        kind="category",
        choices=("auto", "fan_in", "fan_avg"),
        active_when=_where(num_layers=_HIDDEN),
        help="what the variance is divided by; auto: fan_avg for glorot, fan_in for he and lecun",
    ),
    # Normalization.
    "normalization": Hyperparameter(
        kind="category",
        choices=("none", "before", "after"),
        active_when=_where(num_layers=_HIDDEN),
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
        active_when=_where(dropout="last"),
        help="how many hidden layers count as the last ones",
    ),
    "dropout_rate": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=_where(dropout=("input", "all", "last")),
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
        active_when=_where(regularizer=("l1", "elastic_net")),
        help="factor of the sum of absolute weights",
    ),
    "l2": Hyperparameter(
        kind="float",
        low=0,
        active_when=_where(regularizer=("l2", "elastic_net")),
        help="factor of the sum of squared weights",
    ),
    # Optimization.
    "optimizer": Hyperparameter(kind="category", choices=tuple(OPTIMIZERS), help="update rule"),
    "learning_rate": Hyperparameter(
        kind="float", low=0, low_exclusive=True, high=100, help="the schedule's peak"
    ),
    "momentum": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=_where(optimizer=("momentum", "nesterov")),
        help="share of the last update that is kept",
    ),
    "rho": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=_where(optimizer="rmsprop"),
        help="decay of the squared gradients",
    ),
    "beta_1": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=_where(optimizer=_ADAM_FAMILY),
        help="decay of the gradients",
    ),
    "beta_2": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=_where(optimizer=_ADAM_FAMILY),
        help="decay of the squared gradients",
    ),
    "weight_decay": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        active_when=_where(optimizer="adamw"),
        help="decoupled, times the learning rate",
    ),
    "schedule": Hyperparameter(
        kind="category", choices=tuple(SCHEDULES), help="of the learning rate"
    ),
    "warmup_epochs": Hyperparameter(
        kind="float",
        low=0,
        active_when=_where(
            schedule=("constant", "power", "exponential", "piecewise_constant", "cosine")
        ),
        help="epochs of linear warmup before the schedule starts",
    ),
    "decay_epochs": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        active_when=_where(schedule=("power", "exponential")),
        help="s of lr/(1+t/s)^c and lr*0.1^(t/s), in epochs",
    ),
    "decay_power": Hyperparameter(
        kind="float", low=0, active_when=_where(schedule="power"), help="c of lr/(1+t/s)^c"
    ),
    "drop_epochs": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        active_when=_where(schedule="piecewise_constant"),
        help="epochs between drops",
    ),
    "drop_factor": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        high=1,
        active_when=_where(schedule="piecewise_constant"),
        help="the rate is multiplied by this at each drop",
    ),
    "cycle_peak": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        high=1,
        high_exclusive=True,
        active_when=_where(schedule="one_cycle"),
        help="where the peak lies, as a share of the training",
    ),
    "plateau_factor": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        high=1,
        high_exclusive=True,
        active_when=_where(schedule="performance"),
        help="the rate is multiplied by this when the validation metric stalls",
    ),
    "plateau_patience": Hyperparameter(
        kind="int",
        low=1,
        active_when=_where(schedule="performance"),
        help="epochs without improvement before that",
    ),
    "clipping": Hyperparameter(
        kind="category",
        choices=("none", "clipvalue", "clipnorm", "global_clipnorm"),
        help="of the gradient: each component, each variable's norm, or the whole vector's norm",
    ),
    "clipping_threshold": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        active_when=_where(clipping=("clipvalue", "clipnorm", "global_clipnorm")),
        help="largest component or norm that passes unchanged",
    ),
    "batch_size": Hyperparameter(
        kind="int",
        low=1,
        high=65536,
        choices=("full",),
        help="images per update; 1 is online learning, full the whole training part",
    ),
    # Stopping.
    "early_stopping": Hyperparameter(
        kind="category",
        choices=("none", "metric", "gradient_norm"),
        help="when the validation metric stalls, or when the gradient's norm is small; "
        "the best epoch's weights are kept in every case",
    ),
    "early_stopping_patience": Hyperparameter(
        kind="int",
        low=1,
        active_when=_where(early_stopping="metric"),
        help="epochs without improvement before stopping",
    ),
    "gradient_norm_threshold": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        active_when=_where(early_stopping="gradient_norm"),
        help="stops when the whole gradient's Euclidean norm, averaged over an epoch, is below",
    ),
    "class_weight": Hyperparameter(
        kind="category",
        choices=("none", "balanced"),
        help="balanced: each class weighs the same in the loss, whatever its size",
    ),
}


def described(values: Mapping[str, Any]) -> str:
    """Returns hyperparameters as `name=value, name=value`, numbers with four digits."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )
