"""The hyperparameters of how a network is trained: rates, batches, stopping, the second phase."""

from typing import Final

from pipeline.hyperparameter import Hyperparameter, where
from pipeline.training.optimizers import OPTIMIZERS
from pipeline.training.schedules import SCHEDULES

MAX_SEGMENTS: Final = 3

_ADAM_FAMILY: Final = ("adam", "adamw", "nadam")
_UNFROZEN: Final = tuple(range(1, MAX_SEGMENTS + 1))

TRAINING_HYPERPARAMETERS: Final[dict[str, Hyperparameter]] = {
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
        active_when=where(optimizer=("momentum", "nesterov")),
        help="share of the last update that is kept",
    ),
    "rho": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=where(optimizer="rmsprop"),
        help="decay of the squared gradients",
    ),
    "beta_1": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=where(optimizer=_ADAM_FAMILY),
        help="decay of the gradients",
    ),
    "beta_2": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        high_exclusive=True,
        active_when=where(optimizer=_ADAM_FAMILY),
        help="decay of the squared gradients",
    ),
    "weight_decay": Hyperparameter(
        kind="float",
        low=0,
        high=1,
        active_when=where(optimizer="adamw"),
        help="decoupled, times the learning rate",
    ),
    "schedule": Hyperparameter(
        kind="category", choices=tuple(SCHEDULES), help="of the learning rate"
    ),
    "warmup_epochs": Hyperparameter(
        kind="float",
        low=0,
        active_when=where(
            schedule=("constant", "power", "exponential", "piecewise_constant", "cosine")
        ),
        help="epochs of linear warmup before the schedule starts",
    ),
    "decay_epochs": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        active_when=where(schedule=("power", "exponential")),
        help="s of lr/(1+t/s)^c and lr*0.1^(t/s), in epochs",
    ),
    "decay_power": Hyperparameter(
        kind="float", low=0, active_when=where(schedule="power"), help="c of lr/(1+t/s)^c"
    ),
    "drop_epochs": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        active_when=where(schedule="piecewise_constant"),
        help="epochs between drops",
    ),
    "drop_factor": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        high=1,
        active_when=where(schedule="piecewise_constant"),
        help="the rate is multiplied by this at each drop",
    ),
    "cycle_peak": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        high=1,
        high_exclusive=True,
        active_when=where(schedule="one_cycle"),
        help="where the peak lies, as a share of the training",
    ),
    "plateau_factor": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        high=1,
        high_exclusive=True,
        active_when=where(schedule="performance"),
        help="the rate is multiplied by this when the validation metric stalls",
    ),
    "plateau_patience": Hyperparameter(
        kind="int",
        low=1,
        active_when=where(schedule="performance"),
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
        active_when=where(clipping=("clipvalue", "clipnorm", "global_clipnorm")),
        help="largest component or norm that passes unchanged",
    ),
    "batch_size": Hyperparameter(
        kind="int",
        low=1,
        high=65536,
        choices=("full",),
        help="images per update; 1 is online learning, full the whole training part",
    ),
    "images_per_epoch": Hyperparameter(
        kind="int",
        low=1,
        high=1_000_000,
        help="an epoch of phase 1 goes over a smaller training part several times, to come near "
        "this many: a few hundred images then get as many updates as they need",
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
        active_when=where(early_stopping="metric"),
        help="epochs without improvement before stopping",
    ),
    "gradient_norm_threshold": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        active_when=where(early_stopping="gradient_norm"),
        help="stops when the whole gradient's Euclidean norm, averaged over an epoch, is below",
    ),
    "class_weight": Hyperparameter(
        kind="category",
        choices=("none", "balanced"),
        help="balanced: each class weighs the same in the loss, whatever its size",
    ),
    # Phase 2.
    "unfreeze": Hyperparameter(
        kind="int",
        low=0,
        high=MAX_SEGMENTS,
        help="segments of the base below the cut that phase 2 trains with the head; each reaches "
        "down to the next embedded cut; 0: all stays frozen and there is no phase 2",
    ),
    "unfreeze_layers": Hyperparameter(
        kind="int",
        low=1,
        high=2,
        choices=("all",),
        active_when=where(unfreeze=1),
        help="all layers of that segment, or only the last one or two with weights below the cut, "
        "in whatever segment they lie; batch normalization is none of them",
    ),
    "learning_rate_ratio": Hyperparameter(
        kind="float",
        low=1e-3,
        high=0.5,
        active_when=where(unfreeze=_UNFROZEN),
        help="rate of phase 2 over the rate that the schedule of phase 1 has at the same step",
    ),
    "fine_tuning_share": Hyperparameter(
        kind="float",
        low=0,
        low_exclusive=True,
        high=1,
        high_exclusive=True,
        active_when=where(unfreeze=_UNFROZEN),
        help="share of the epochs kept for phase 2, which begins earlier if phase 1 stops early",
    ),
}
