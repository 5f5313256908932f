"""Learning-rate schedules: the multiplier of the peak rate at every optimizer step.

A schedule describes what happens after warmup; `learning_rate_table` puts warmup before it. To
add one, write a function below and register it with its own hyperparameters, `WARMUP` among them
if it may be warmed up; a duration in epochs is read with `Timing.steps`. NumPy is imported where
it computes: the table of hyperparameters asks for names and declarations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.hyperparameter import Value, count, non_negative, positive, unit_interval
from pipeline.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Steps = NDArray[np.float64]
    Schedule = Callable[[Steps, "Timing"], Steps]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long the training is, and the schedule's own hyperparameters in steps.

    Attributes:
        hyperparameters: The trial's; those of the schedule are among them.
        num_steps: Optimizer steps after warmup, >= 1.
        steps_per_epoch: Optimizer steps in one epoch, >= 1.
    """

    hyperparameters: Mapping[str, Value]
    num_steps: int
    steps_per_epoch: int

    def number(self, name: str) -> float:
        """Returns the hyperparameter `name` as it is."""
        return float(self.hyperparameters[name])

    def steps(self, name: str) -> float:
        """Returns the hyperparameter `name`, a duration in epochs, as optimizer steps."""
        return self.number(name) * self.steps_per_epoch


SCHEDULES: Registry[Schedule] = Registry("schedule")

WARMUP: Final = {
    "warmup_epochs": non_negative("epochs of linear warmup before the schedule starts")
}
DECAY: Final = {"decay_epochs": positive("s of lr/(1+t/s)^c and lr*0.1^(t/s), in epochs")}


@SCHEDULES.register("constant", parameters=WARMUP)
def constant(step: Steps, _: Timing) -> Steps:
    """Keeps the peak: f(t) = 1."""
    import numpy as np

    return np.ones_like(step)


@SCHEDULES.register(
    "power",
    parameters={**WARMUP, **DECAY, "decay_power": non_negative("c of lr/(1+t/s)^c")},
)
def power(step: Steps, timing: Timing) -> Steps:
    """Decays fast at first and ever slower: f(t) = 1 / (1 + t / s)^c.

    s is `decay_epochs` in steps and c is `decay_power`; with c = 1 the rate is peak / 2 after s
    steps and peak / 3 after 2 s. Equals Keras' InverseTimeDecay with decay_rate 1 for c = 1.
    """
    import numpy as np

    s, c = timing.steps("decay_epochs"), timing.number("decay_power")
    return np.asarray((1.0 + step / s) ** -c)


@SCHEDULES.register("exponential", parameters={**WARMUP, **DECAY})
def exponential(step: Steps, timing: Timing) -> Steps:
    """Divides by 10 every s steps: f(t) = 0.1^(t / s), with s = `decay_epochs` in steps."""
    import numpy as np

    return np.asarray(0.1 ** (step / timing.steps("decay_epochs")))


@SCHEDULES.register(
    "piecewise_constant",
    parameters={
        **WARMUP,
        "drop_epochs": positive("epochs between drops"),
        "drop_factor": positive("the rate is multiplied by this at each drop", high=1),
    },
)
def piecewise_constant(step: Steps, timing: Timing) -> Steps:
    """Drops at equal intervals: f(t) = drop_factor^floor(t / `drop_epochs` in steps)."""
    import numpy as np

    return np.asarray(timing.number("drop_factor") ** np.floor(step / timing.steps("drop_epochs")))


@SCHEDULES.register("cosine", parameters=WARMUP)
def cosine(step: Steps, timing: Timing) -> Steps:
    """Decays to zero on half a cosine: f(t) = (1 + cos(pi t / num_steps)) / 2.

    Reference: Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983, eq. 5 with eta_min = 0.
    """
    import numpy as np

    return 0.5 * (1.0 + np.cos(np.pi * step / timing.num_steps))


@SCHEDULES.register(
    "one_cycle",
    parameters={
        "cycle_peak": unit_interval(
            "where the peak lies, as a share of the training", low_exclusive=True
        )
    },
)
def one_cycle(step: Steps, timing: Timing) -> Steps:
    """Climbs to the peak, comes back, and ends far below: f(t) = linear between four points.

    As a share of the training, f is 1/10 at 0, 1 at `cycle_peak`, 1/10 again at 0.9, and 1/10,000
    at the end: the last tenth drops three orders of magnitude below the start. A peak beyond 0.8
    moves the third point to half way between the peak and the end.

    Reference: Smith 2018, A disciplined approach to neural network hyper-parameters,
    arXiv:1803.09820, section 4.2. It asks for a cycle "slightly smaller than the total number of
    iterations" and a rate "several orders of magnitude less" afterwards; 0.9 and 1/10,000 are our
    reading. Smith's momentum cycle is left out: momentum stays as it was chosen.
    """
    import numpy as np

    peak = timing.number("cycle_peak")
    progress = step / max(timing.num_steps - 1, 1)
    points = [0.0, peak, max(0.9, (1.0 + peak) / 2.0), 1.0]
    return np.interp(progress, points, [0.1, 1.0, 0.1, 1e-4])


@SCHEDULES.register(
    "performance",
    parameters={
        "plateau_factor": unit_interval(
            "the rate is multiplied by this when the validation metric stalls", low_exclusive=True
        ),
        "plateau_patience": count("epochs without improvement before that"),
    },
)
def performance(step: Steps, _: Timing) -> Steps:
    """Keeps the peak until the validation metric stalls: f(t) = 1.

    Not a function of the step: `training.rules.Plateau` lowers the rate between epochs. The entry
    is here so that it can be chosen like the others.
    """
    import numpy as np

    return np.ones_like(step)


def learning_rate_table(
    hyperparameters: Mapping[str, Value],
    *,
    num_steps: int,
    steps_per_epoch: int,
    factor: float = 1.0,
) -> NDArray[np.float32]:
    """Evaluates a trial's schedule at every optimizer step.

    Step `t` of a warmup of `w` steps runs at `peak * (t + 1) / w`: the first update is never at
    zero, and the last warmup step is at the peak. A warmup longer than the training is cut off.

    Args:
        hyperparameters: `learning_rate` (the peak), `schedule`, `warmup_epochs` where it is
            active, and what the schedule itself reads.
        num_steps: Optimizer steps in the whole training (not epochs), >= 1.
        steps_per_epoch: Optimizer steps in one epoch, >= 1; turns epochs into steps.
        factor: What every rate is multiplied by, > 0; below 1 in phase 2.

    Returns:
        Learning rates, shape (num_steps,), float32, in [0, factor * peak].

    Raises:
        ConfigError: If the schedule is unknown.

    >>> values = {"learning_rate": 1.0, "schedule": "constant", "warmup_epochs": 2}
    >>> learning_rate_table(values, num_steps=6, steps_per_epoch=2).tolist()
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    import numpy as np

    warmup_steps = round(float(hyperparameters.get("warmup_epochs", 0.0)) * steps_per_epoch)
    num_warmup = min(warmup_steps, num_steps)
    num_decay = num_steps - num_warmup
    warmup = np.arange(1, num_warmup + 1) / max(warmup_steps, 1)
    timing = Timing(
        hyperparameters=hyperparameters,
        num_steps=max(num_decay, 1),
        steps_per_epoch=steps_per_epoch,
    )
    decay = SCHEDULES.get(str(hyperparameters["schedule"]))(
        np.arange(num_decay, dtype=np.float64), timing
    )
    peak = float(hyperparameters["learning_rate"])
    rates = (peak * np.concatenate([warmup, decay])).astype(np.float32)
    return np.asarray(rates * np.float32(factor))
