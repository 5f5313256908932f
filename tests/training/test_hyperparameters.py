"""The table of hyperparameters agrees with params.yaml and with itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS, described

# In the order in which a trial is asked, each with where it exists. The order decides what the
# sampler draws: a new one goes where its component declares it, and is a new line here.
IN_ORDER = """\
cut
pooling
views
feature_scaling
num_layers
units_shape if num_layers=1|2|3|4|5
units if units_shape=same
units_0 if units_shape=per_layer num_layers=1|2|3|4|5
units_1 if units_shape=per_layer num_layers=2|3|4|5
units_2 if units_shape=per_layer num_layers=3|4|5
units_3 if units_shape=per_layer num_layers=4|5
units_4 if units_shape=per_layer num_layers=5
activation if num_layers=1|2|3|4|5
negative_slope if activation=leaky_relu
initializer if num_layers=1|2|3|4|5
initializer_distribution if num_layers=1|2|3|4|5
initializer_fan if num_layers=1|2|3|4|5
initializer_scale if num_layers=1|2|3|4|5 initializer=normal
normalization if num_layers=1|2|3|4|5
normalize_first
batch_norm_momentum
batch_norm_epsilon
dropout
dropout_layers if dropout=last
dropout_rate if dropout=all|input|last
regularizer
l1 if regularizer=elastic_net|l1
l2 if regularizer=elastic_net|l2
optimizer
learning_rate
momentum if optimizer=momentum|nesterov
rho if optimizer=rmsprop
beta_1 if optimizer=adam|adamw|nadam
beta_2 if optimizer=adam|adamw|nadam
weight_decay if optimizer=adamw
schedule
warmup_epochs if schedule=constant|cosine|exponential|piecewise_constant|power
decay_epochs if schedule=exponential|power
decay_power if schedule=power
drop_epochs if schedule=piecewise_constant
drop_factor if schedule=piecewise_constant
cycle_peak if schedule=one_cycle
plateau_factor if schedule=performance
plateau_patience if schedule=performance
clipping
clipping_threshold if clipping=clipnorm|clipvalue|global_clipnorm
batch_size
images_per_epoch
bootstrap
early_stopping
early_stopping_patience if early_stopping=metric
gradient_norm_threshold if early_stopping=gradient_norm
class_weight
unfreeze
unfreeze_layers if unfreeze=1
learning_rate_ratio if unfreeze=1|2|3
fine_tuning_share if unfreeze=1|2|3
"""


def condition(spec):
    return " ".join(
        f"{name}={'|'.join(sorted(map(str, values)))}" for name, values in spec.active_when.items()
    )


def test_trials_are_asked_in_this_order_under_these_conditions():
    lines = [
        f"{name} if {condition(spec)}" if spec.active_when else name
        for name, spec in HYPERPARAMETERS.items()
    ]
    assert lines == IN_ORDER.splitlines()


def printed(code):
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_table_loads_no_heavy_library():
    code = (
        "import sys, pipeline.training.hyperparameters\n"
        "print([m for m in ('numpy', 'keras', 'tensorflow', 'optuna') if m in sys.modules])"
    )
    assert printed(code) == ["[]"]


def test_what_a_new_component_declares_is_in_the_table():
    code = (
        "from pipeline.hyperparameter import unit_interval\n"
        "from pipeline.training.schedules import SCHEDULES, WARMUP\n"
        "own = {'ramp_end': unit_interval('share of the peak at the last step')}\n"
        "SCHEDULES.register('ramp', parameters={**WARMUP, **own})(None)\n"
        "from pipeline.training.hyperparameters import HYPERPARAMETERS as table\n"
        "print('ramp' in table['schedule'].choices)\n"
        "print('ramp' in table['warmup_epochs'].active_when['schedule'])\n"
        "print(list(table)[list(table).index('plateau_patience') + 1])\n"
    )
    assert printed(code) == ["True", "True", "ramp_end"]


@pytest.mark.parametrize("name", list(HYPERPARAMETERS))
def test_every_default_is_legal(name, params_document):
    assert HYPERPARAMETERS[name].problem(params_document["defaults"][name]) is None


@pytest.mark.parametrize("name", list(HYPERPARAMETERS))
def test_every_hyperparameter_has_a_help_text(name):
    assert len(HYPERPARAMETERS[name].help) > 5


def test_what_a_choice_switches_off_does_not_exist(params_document):
    values = {**params_document["defaults"], "dropout": "none", "optimizer": "adam"}
    values = completed({}, SearchSpace({}, values))
    assert "dropout_rate" not in values
    assert "momentum" not in values
    assert "beta_1" in values


def test_an_open_interval_excludes_its_end():
    spec = HYPERPARAMETERS["dropout_rate"]
    assert spec.interval == "[0, 1)"
    assert spec.problem(0.0) is None
    assert spec.problem(1.0) == "must lie in [0, 1)"


def test_descriptions_round_numbers():
    assert (
        described({"learning_rate": 0.00123456, "units": 64}) == "learning_rate=0.001235, units=64"
    )
